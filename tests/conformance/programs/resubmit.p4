// resubmit: the original packet again, kept metadata, instance_type 6, ingress_port zero.
// features: resubmit
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
    bit<8> port;
    bit<8> type;
}

struct metadata_t {
    @field_list(1)
    bit<8> count;
}

struct headers_t {
    data_t data;
}

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
        hdr.data.b = meta.count;
        hdr.data.port = sm.ingress_port[7:0];
        hdr.data.type = sm.instance_type[7:0];
        if (meta.count < hdr.data.a) {
            meta.count = meta.count + 1;
            resubmit_preserving_field_list(1);
        }
        hdr.data.a = 0;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
