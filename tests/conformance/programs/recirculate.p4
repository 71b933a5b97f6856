// recirculate: the deparsed packet enters the parser again, instance_type 4.
// features: recirculate
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

struct metadata_t {
    @field_list(2)
    bit<8> kept;
}

struct headers_t {
    data_t data;
}

#define WITH_EGRESS
#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (sm.instance_type == 4) {
            hdr.data.b = hdr.data.b + meta.kept;
        }
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.data.a > 1) {
            hdr.data.a = hdr.data.a - 1;
            meta.kept = 0x10;
            recirculate_preserving_field_list(2);
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
