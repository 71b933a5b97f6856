// Unsigned arithmetic wraps modulo 2^W; |+| and |-| stay at the limits; / and % on bit<W>.
// features: bit<W> arithmetic; saturating arithmetic
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
    bit<8> add;
    bit<8> sub;
    bit<8> mul;
    bit<8> sat_add;
    bit<8> sat_sub;
    bit<8> neg;
    bit<8> inv;
    bit<8> quot;
    bit<8> rem;
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
        hdr.data.sub = hdr.data.a - hdr.data.b;
        hdr.data.mul = hdr.data.a * hdr.data.b;
        hdr.data.sat_add = hdr.data.a |+| hdr.data.b;
        hdr.data.sat_sub = hdr.data.a |-| hdr.data.b;
        hdr.data.neg = -hdr.data.a;
        hdr.data.inv = ~hdr.data.a;
        hdr.data.quot = hdr.data.a / 7;
        hdr.data.rem = hdr.data.a % 7;
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
