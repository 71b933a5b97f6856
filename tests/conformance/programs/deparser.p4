// A deparser emits in its own order, conditionally, and each header as often as it says.
// features: conditional and repeated emit
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

struct headers_t {
    data_t first;
    data_t second;
}

struct metadata_t {}

#define WITH_DEPARSER
#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.first);
        packet.extract(hdr.second);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.first.a == 9) {
            hdr.first.setInvalid();
        }
    }
}

control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.second);
        if (hdr.first.isValid()) {
            packet.emit(hdr.first);
        } else {
            packet.emit(hdr.second);
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
