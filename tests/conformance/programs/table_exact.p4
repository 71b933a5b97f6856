// Exact keys: several fields, a header's validity, hit and miss, setdefault over the program's default.
// features: exact keys
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  k;
    bit<16> l;
    bit<8>  r;
}

struct headers_t {
    data_t data;
    data_t missing;
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

    table exact_match {
        key = { hdr.data.k: exact; hdr.data.l: exact @name("ell"); hdr.missing.isValid(): exact; }
        actions = { mark; other; }
        default_action = other();
    }

    apply {
        if (exact_match.apply().hit) {
            hdr.data.k = 0xff;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
