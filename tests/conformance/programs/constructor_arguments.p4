// Controls with constructor parameters: one body, several instances.
// features: constructor parameters
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> k;
    bit<8> r;
}

control Add(inout bit<8> x)(bit<8> n, bool twice) {
    apply {
        x = x + n;
        if (twice) {
            x = x + n;
        }
    }
}

struct headers_t {
    data_t data;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    Add(3, true) three_twice;
    Add(n = 1, twice = false) one;

    apply {
        sm.egress_spec = 1;
        three_twice.apply(hdr.data.r);
        one.apply(hdr.data.r);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
