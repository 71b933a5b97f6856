// clone I2E: the copy is the packet as it came, with the field list's metadata, from egress on.
// features: clone I2E
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

struct metadata_t {
    @field_list(1)
    bit<8> kept;
    bit<8> lost;
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
        meta.kept = 0x11;
        meta.lost = 0x22;
        hdr.data.a = 0xff;
        sm.egress_spec = 1;
        if (hdr.data.b == 1) {
            clone_preserving_field_list(CloneType.I2E, 5, 1);
        } else if (hdr.data.b == 2) {
            clone(CloneType.I2E, 6);
            mark_to_drop(sm);
        } else if (hdr.data.b == 3) {
            clone(CloneType.I2E, 7);
        }
        meta.kept = meta.kept + 1;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.data.b = meta.kept;
        if (sm.instance_type == 1) {
            hdr.data.b = hdr.data.b | meta.lost;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
