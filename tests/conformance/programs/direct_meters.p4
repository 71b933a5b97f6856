// A direct meter meters what hits its entry; its colour is what the action reads.
// features: direct_meter
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> k;
    bit<8> r;
}

struct headers_t {
    data_t data;
}

struct metadata_t {
    bit<2> colour;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    direct_meter<bit<2>>(MeterType.packets) colour;

    action measure() {
        colour.read(meta.colour);
    }

    table rated {
        key = { hdr.data.k: exact; }
        actions = { measure; NoAction; }
        meters = colour;
        default_action = NoAction;
    }

    apply {
        sm.egress_spec = 1;
        rated.apply();
        hdr.data.r = (bit<8>)meta.colour;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
