// Meters: green until configured; two rates; the clock refills (a command is one second).
// features: meter
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> i;
    bit<8> colour;
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
    meter(2, MeterType.packets) limit;

    apply {
        limit.execute_meter((bit<32>)hdr.data.i, hdr.data.colour);
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
