// mark_to_drop in ingress and egress; a later egress_spec undoes the first; port 511 drops.
// features: mark_to_drop and the drop port
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

#define WITH_EGRESS
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
        if (hdr.data.a == 1) {
            mark_to_drop(sm);
        } else if (hdr.data.a == 2) {
            mark_to_drop(sm);
            sm.egress_spec = 2;
        } else if (hdr.data.a == 3) {
            sm.egress_spec = 511;
        }
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.data.a == 4) {
            mark_to_drop(sm);
        }
        // The port is fixed by now: only dropping is left.
        if (hdr.data.b == 1) {
            sm.egress_spec = 3;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
