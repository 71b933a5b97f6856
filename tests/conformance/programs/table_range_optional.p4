// Range and optional keys: the larger priority wins; optional is one value or any.
// features: range and optional keys
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
    action set(bit<8> r) {
        hdr.data.r = r;
    }

    table select_port {
        key = {
            hdr.data.k: range;
            hdr.data.r: optional;
        }
        actions = { set; NoAction; }
        default_action = NoAction();
    }

    apply {
        sm.egress_spec = 1;
        select_port.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
