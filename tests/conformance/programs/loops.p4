// for loops: counting, over a range, with break, continue and return inside a function.
// features: for loops, break, continue
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> n;
    bit<8> sum;
    bit<8> evens;
    bit<8> first;
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

// The first multiple of n above 10 and below 20; 0 if there is none.
bit<8> first_multiple(in bit<8> n) {
    for (bit<8> i in 11..19) {
        for (bit<8> k in 1..19) {
            if (k * n == i) {
                return i;
            }
        }
    }
    return 0;
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        for (bit<8> i = 1; i <= hdr.data.n; i = i + 1) {
            if (i > 10) {
                break;
            }
            hdr.data.sum = hdr.data.sum + i;
        }
        for (bit<8> i in 0..9) {
            if (i & 1 == 1) {
                continue;
            }
            hdr.data.evens = hdr.data.evens + i;
        }
        hdr.data.first = first_multiple(hdr.data.n);
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
