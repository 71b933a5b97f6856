// exit inside a sub-control: arguments are copied back first, then the whole ingress is left (12.5).
// features: return and exit; sub-controls
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

action leave(inout bit<4> x) {
    x = 0xF;
    exit;
}

control Nibble(inout bit<4> x) {
    table always {
        actions = { leave(x); }
        default_action = leave(x);
    }
    apply {
        x = 1;
        if (x == 1) {
            always.apply();
        }
        x = 2;
    }
}

control Both(inout bit<8> x, inout bit<8> y) {
    Nibble() nibble;
    apply {
        y = y + 1;
        nibble.apply(x[7:4]);
        y = 0xEE;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    Both() both;
    Nibble() nibble;
    apply {
        sm.egress_spec = 1;
        if (hdr.data.a == 1) {
            nibble.apply(hdr.data.b[3:0]);
        } else if (hdr.data.a == 2) {
            both.apply(hdr.data.b, hdr.data.a);
        } else {
            both.apply(hdr.data.b, hdr.data.b);
        }
        hdr.data.a = 0xAA;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
