// SPDX-License-Identifier: Apache-2.0
// Routes 2001:db8:N::/48 to port N; entries are part of the program. Packets to 2001:db8:ff::/48 go to ports
// 1 and 2 by multicast group 1, those from port 3 to the controller.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv6_t {
    bit<64>  begin;
    bit<128> src;
    bit<16>  registry;
    bit<16>  organisation;
    bit<16>  site;
    bit<80>  rest;
}

struct headers_t {
    ethernet_t ethernet;
    ipv6_t     ipv6;
}

struct metadata_t {}

parser Read(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            0x86dd: parse_ipv6;
            default: accept;
        }
    }
    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) { apply {} }

control Route(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action drop() { mark_to_drop(sm); }
    action forward(bit<9> port, bit<48> host) {
        sm.egress_spec = port;
        hdr.ethernet.dst = host;
    }
    action flood() { sm.mcast_grp = 1; }

    table sites {
        key = { hdr.ipv6.site: exact; }
        actions = { forward; flood; drop; }
        default_action = drop;
        const entries = {
            1: forward(1, 0x020000000001);
            2: forward(2, 0x020000000002);
            3: forward(3, 0x020000000003);
            0xff: flood();
        }
    }
    apply {
        if (hdr.ipv6.isValid()) {
            sites.apply();
        } else {
            drop();
        }
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) { apply {} }
control NoCompute(inout headers_t hdr, inout metadata_t meta) { apply {} }
control Write(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.ipv6);
    }
}

V1Switch(Read(), NoVerify(), Route(), Leave(), NoCompute(), Write()) main;
