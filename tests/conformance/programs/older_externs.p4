// Externs of older programs: clone3, resubmit(data), recirculate(data), mark_to_drop(), Checksum16.
// features: clone3, resubmit(data), recirculate(data), mark_to_drop()
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
    bit<8> kept;
    bit<8> lost;
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
        if (sm.instance_type == 0) {
            meta = { 0, 0xf0 };
            if (hdr.data.k == 1) {
                meta.kept = 7;
                resubmit({ meta.kept });
            } else if (hdr.data.k == 3) {
                meta.kept = 9;
                clone3(CloneType.I2E, 32w9, { meta.kept });
            } else if (hdr.data.k == 4) {
                mark_to_drop();
            }
        } else {
            hdr.data.r = meta.kept | meta.lost;
        }
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (sm.instance_type == 0 && hdr.data.k == 2 && hdr.data.r == 0) {
            meta.kept = 8;
            recirculate({ meta.kept });
        } else if (sm.instance_type == 1) {
            hdr.data.r = meta.kept | meta.lost;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
