// ternary: larger priority wins; * digits; an lpm key beside ternary ones does not rank.
// features: ternary keys
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<16> a;
    bit<16> b;
    bit<8>  r;
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

    table acl {
        key = { hdr.data.a: ternary; hdr.data.b: lpm; }
        actions = { mark; other; NoAction; }
        const default_action = other;
    }

    apply {
        acl.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
