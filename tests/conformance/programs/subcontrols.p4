// Two instances of a control have tables of their own; exit ends the caller too.
// features: sub-controls
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

control Stage(in bit<8> x, inout bit<8> y) {
    action set(bit<8> v) {
        y = v;
    }
    action stop() {
        exit;
    }
    table stage {
        key = { x: exact; }
        actions = { set; stop; NoAction; }
        default_action = NoAction();
    }

    apply {
        stage.apply();
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    Stage() one;
    Stage() two;

    apply {
        sm.egress_spec = 1;
        one.apply(hdr.data.a, hdr.data.b);
        two.apply(hdr.data.b, hdr.data.a);
        sm.egress_spec = 2;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
