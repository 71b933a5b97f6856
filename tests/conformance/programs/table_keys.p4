// Keys may be expressions; they are evaluated before the action changes what they read.
// features: keys that are expressions
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
    action mark(bit<8> v) {
        hdr.data.r = v;
        sm.egress_spec = 1;
    }
    action other() {
        sm.egress_spec = 2;
    }

    action clear(bit<8> v) {
        hdr.data.a = 0;
        hdr.data.b = 0;
        hdr.data.r = v;
        sm.egress_spec = 1;
    }

    table sums {
        key = {
            hdr.data.a + hdr.data.b: exact @name("sum");
            hdr.data.a & 0xf: exact @name("low");
            hdr.data.b[7:4]: exact;
            hdr.data.a == hdr.data.b: exact @name("equal");
        }
        actions = { mark; clear; other; }
        default_action = other;
    }

    apply {
        sums.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
