// switch on a value: labels that share a body, default, no match.
// features: switch on values
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
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
        sm.egress_spec = 1;
        switch (hdr.data.a) {
            1:
            2: {
                hdr.data.b = 0x12;
            }
            3: {
                hdr.data.b = 0x03;
            }
            default: {
                sm.egress_spec = 2;
            }
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
