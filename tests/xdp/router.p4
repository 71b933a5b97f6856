// SPDX-License-Identifier: Apache-2.0
// A plain IPv6 router: what forwarder.bpf.c does by hand.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv6_t {
    bit<4>   version;
    bit<8>   traffic_class;
    bit<20>  flow_label;
    bit<16>  payload_length;
    bit<8>   next_header;
    bit<8>   hop_limit;
    bit<128> src;
    bit<128> dst;
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
    direct_counter(CounterType.packets_and_bytes) routed;

    action drop() { mark_to_drop(sm); }
    action forward(bit<9> port, bit<48> source, bit<48> neighbor) {
        sm.egress_spec = port;
        hdr.ethernet.src = source;
        hdr.ethernet.dst = neighbor;
        hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
    }
    table routes {
        key = { hdr.ipv6.dst: lpm; }
        actions = { forward; drop; }
        default_action = drop;
        counters = routed;
        size = 4096;
    }
    apply {
        if (hdr.ipv6.isValid() && hdr.ipv6.hop_limit > 1) {
            routes.apply();
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
