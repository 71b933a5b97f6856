// return leaves the control (or action), exit the whole ingress, from an action too.
// features: return and exit
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
    action leave() {
        hdr.data.b = hdr.data.b + 1;
        if (hdr.data.a == 2) {
            exit;
        }
        if (hdr.data.a == 3) {
            return;
        }
        hdr.data.b = hdr.data.b + 1;
    }
    table always {
        actions = { leave; }
        default_action = leave();
    }

    apply {
        sm.egress_spec = 1;
        if (hdr.data.a == 1) {
            return;
        }
        always.apply();
        hdr.data.b = hdr.data.b + 0x10;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
