// Table actions with directional parameters bound in the program, beside action data.
// features: actions with directional parameters in tables
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
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
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action combine(inout bit<8> target, in bit<8> first, bit<8> second) {
        target = target + first + second;
        sm.egress_spec = 1;
    }

    table combinations {
        key = { hdr.data.a: exact; }
        actions = { combine(hdr.data.r, hdr.data.b); NoAction; }
        default_action = NoAction;
    }

    apply {
        combinations.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
