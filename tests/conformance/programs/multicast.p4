// mcast_grp: a copy per port and replication id, instance_type 5; the original goes nowhere.
// features: multicast
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> group;
    bit<8> rid;
    bit<8> type;
}

struct headers_t {
    data_t data;
}

struct metadata_t {}

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
        sm.egress_spec = 4;
        sm.mcast_grp = (bit<16>)hdr.data.group;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.data.rid = sm.egress_rid[7:0];
        hdr.data.type = sm.instance_type[7:0];
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
