// Tables without keys run their default action; setdefault replaces it, with its data.
// features: tables without keys, default actions with data
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> k;
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
    action add(bit<8> n) {
        hdr.data.r = hdr.data.r + n;
    }

    table keyless {
        actions = { add; NoAction; }
        default_action = add(2);
    }

    table empty_key {
        key = {}
        actions = { add; }
        const default_action = add(0x10);
    }

    table nothing_by_default {
        actions = { add; }
    }

    apply {
        sm.egress_spec = 1;
        keyless.apply();
        empty_key.apply();
        nothing_by_default.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
