// Errors of the program's own: verify stores them in parser_error.
// features: verify and errors of the program's own
#include <core.p4>
#include <v1model.p4>

error {
    NoService,
    TooOld
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
    state start {
        packet.extract(hdr.data);
        verify(hdr.data.k != 1, error.NoService);
        verify(hdr.data.k != 2, error.TooOld);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (sm.parser_error == error.NoService) {
            hdr.data.r = 1;
        } else if (sm.parser_error == error.TooOld) {
            hdr.data.r = 2;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
