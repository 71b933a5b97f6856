// Validity: setValid, setInvalid, assignment of headers and lists, comparison.
// features: headers: validity, assignment, comparison
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

struct headers_t {
    data_t data;
    data_t second;
    data_t third;
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
        hdr.second = hdr.data;
        if (hdr.second == hdr.data) {
            hdr.data.a = 0xaa;
        }
        if (hdr.third.isValid() || hdr.second == hdr.data) {
            sm.egress_spec = 2;
        }
        hdr.third = { hdr.second.b, hdr.second.a };
        if (hdr.third.a == 9) {
            hdr.third.setInvalid();
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
