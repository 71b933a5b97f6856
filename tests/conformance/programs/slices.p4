// Bit slices as values and as l-values, also of slices; ++ concatenates.
// features: slices and concatenation
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<16> a;
    bit<16> b;
    bit<8>  c;
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
        hdr.data.c = hdr.data.a[11:4];
        hdr.data.b[15:12] = hdr.data.a[3:0];
        hdr.data.b[0:0] = 1;
        hdr.data.b[11:4][3:0] = 0xf;
        hdr.data.a = hdr.data.a[7:0] ++ hdr.data.a[15:8];
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
