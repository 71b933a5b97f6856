// Every multicast copy has headers and metadata of its own.
// features: multicast
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

header extra_t {
    bit<8> x;
}

struct headers_t {
    data_t  data;
    extra_t extra;
}

struct metadata_t {
    extra_t    one;
    extra_t[2] two;
    bit<8>     count;
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
        sm.mcast_grp = 3;
        meta.one = { 0x77 };
        meta.two[1] = meta.one;
        meta.count = hdr.data.a;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        meta.count = meta.count + sm.egress_rid[7:0];
        hdr.data.a = meta.count;
        hdr.data.b = meta.one.x;
        hdr.extra = meta.two[1];
        if (meta.two[0].isValid()) {
            hdr.data.a = 0;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
