// Generic structs, headers, functions and controls are specialised for their type arguments.
// features: generic structs and headers
#include <core.p4>
#include <v1model.p4>

struct pair_t<T> {
    T left;
    T right;
}

header data_t {
    bit<8> k;
    bit<8> r;
}

header one_t<T> {
    T value;
}

struct headers_t {
    data_t data;
    one_t<bit<16>> more;
}

struct metadata_t {
    pair_t<bit<8>> pair;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        packet.extract(hdr.more);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        meta.pair = { hdr.data.k, (bit<8>)hdr.more.value };
        pair_t<bit<16>> wide = { left = 1, right = hdr.more.value };
        if (wide.right == 6) {
            hdr.data.r = meta.pair.left + meta.pair.right;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
