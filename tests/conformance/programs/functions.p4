// Functions: several returns, inout and out parameters, calls in expressions.
// features: functions
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
    bit<8> largest;
    bit<8> steps;
    bit<8> swapped;
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

bit<8> largest(in bit<8> x, in bit<8> y) {
    if (x > y) {
        return x;
    }
    return y;
}

void swap(inout bit<8> x, inout bit<8> y) {
    bit<8> kept = x;
    x = y;
    y = kept;
}

bit<8> classify(in bit<8> x) {
    if (x == 0) {
        return 0;
    } else if (x < 0x10) {
        return 1;
    }
    bit<8> rest = x;
    if (rest > 0x80) {
        rest = rest - 0x80;
        return 3;
    }
    return 2;
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.data.largest = largest(hdr.data.a, largest(hdr.data.b, 0x10));
        swap(hdr.data.a, hdr.data.b);
        hdr.data.steps = classify(hdr.data.a);
        hdr.data.swapped = hdr.data.a - hdr.data.b;
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
