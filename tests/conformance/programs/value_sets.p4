// Value sets begin empty: their cases do not match until the control plane fills them.
// features: value sets
#include <core.p4>
#include <v1model.p4>

struct pair_t {
    @match(ternary)
    bit<8> k;
    bit<8> r;
}

header data_t {
    bit<8> k;
    bit<8> r;
}

struct headers_t {
    data_t data;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    value_set<bit<8>>(4) known;
    @name("pairs")
    value_set<pair_t>(8) known_pairs;

    state start {
        packet.extract(hdr.data);
        transition select(hdr.data.k) {
            known: reserved;
            default: pairs;
        }
    }
    state pairs {
        transition select(hdr.data.k, hdr.data.r) {
            known_pairs: reserved;
            default: accept;
        }
    }
    state reserved {
        hdr.data.r = 0xff;
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
