// const entries of an lpm table rank by prefix, not by order; masks are prefixes.
// features: lpm keys; const entries
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<16> a;
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

    table routes {
        key = { hdr.data.a: lpm; }
        actions = { mark; other; }
        const entries = {
            0x1000 &&& 0xf000: mark(4);
            0x1200 &&& 0xff00: mark(8);
            0x1234: mark(16);
            _: other();
        }
    }

    apply {
        routes.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
