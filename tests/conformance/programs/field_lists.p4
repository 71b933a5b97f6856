// Field lists: named by constants and enums, on single fields and whole structs; a field may be in two.
// features: field lists
#include <core.p4>
#include <v1model.p4>

enum bit<8> Lists {
    none  = 0,
    again = 1,
    copy  = 2
}
const bit<8> ALSO_COPY = 2;

struct pair_t {
    bit<8> left;
    @field_list(Lists.copy)
    bit<8> right;
}

header data_t {
    bit<8> k;
    bit<8> r;
}

struct headers_t {
    data_t data;
}

struct metadata_t {
    @field_list(Lists.again, Lists.copy)
    bit<8> both;
    @field_list(ALSO_COPY)
    bit<8> one;
    pair_t pair;
    @field_list(Lists.again)
    bit<8> other;
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
        meta = { 1, 2, { 4, 8 }, 16 };
        clone_preserving_field_list(CloneType.I2E, 9, Lists.copy);
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (sm.instance_type == 1) {
            hdr.data.r = meta.both | meta.one | meta.pair.left | meta.pair.right | meta.other;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
