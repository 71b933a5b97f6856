// SPDX-License-Identifier: Apache-2.0
// An access list over IPv6 addresses, protocol and port: what a ternary look-up costs.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv6_t {
    bit<32>  version_class_label;
    bit<16>  length;
    bit<8>   next_header;
    bit<8>   hop_limit;
    bit<128> src;
    bit<128> dst;
}

header udp_t {
    bit<16> sport;
    bit<16> dport;
}

struct headers_t {
    ethernet_t ethernet;
    ipv6_t     ipv6;
    udp_t      udp;
}

struct metadata_t {}

parser Read(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.ethernet);
        packet.extract(hdr.ipv6);
        packet.extract(hdr.udp);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) { apply {} }

control Filter(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action permit(bit<9> port) { sm.egress_spec = port; }
    table acl {
        key = {
            hdr.ipv6.src: ternary;
            hdr.ipv6.dst: ternary;
            hdr.ipv6.next_header: ternary;
            hdr.udp.dport: ternary;
        }
        actions = { permit; }
        default_action = permit(1);
        size = 10000;
    }
    apply { acl.apply(); }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) { apply {} }
control NoCompute(inout headers_t hdr, inout metadata_t meta) { apply {} }
control Write(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }

V1Switch(Read(), NoVerify(), Filter(), Leave(), NoCompute(), Write()) main;
