// clone E2E: the copy has the headers as egress left them and starts egress again.
// features: clone E2E
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

struct metadata_t {
    @field_list(0)
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
        meta.kept = 0x30;
        sm.egress_spec = 1;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (sm.instance_type == 2) {
            hdr.data.b = meta.kept;
        } else {
            clone_preserving_field_list(CloneType.E2E, 1, 0);
            hdr.data.a = hdr.data.a + 0x40;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
