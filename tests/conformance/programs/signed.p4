// int<W>: two's complement, sign extension, arithmetic shift, signed comparison and saturation.
// features: int<W> arithmetic; saturating arithmetic
#include <core.p4>
#include <v1model.p4>

header data_t {
    int<8>  a;
    int<8>  b;
    int<8>  add;
    int<8>  sat_add;
    int<8>  sat_sub;
    int<16> wide;
    bit<16> pattern;
    int<8>  shifted;
    bit<8>  less;
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
    apply {
        hdr.data.add = hdr.data.a + hdr.data.b;
        hdr.data.sat_add = hdr.data.a |+| hdr.data.b;
        hdr.data.sat_sub = hdr.data.a |-| hdr.data.b;
        hdr.data.wide = (int<16>)hdr.data.a;
        hdr.data.pattern = (bit<16>)(bit<8>)hdr.data.a;
        hdr.data.shifted = hdr.data.a >> 1;
        if (hdr.data.a < hdr.data.b) {
            hdr.data.less = 1;
        }
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
