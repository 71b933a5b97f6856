// The queue between ingress and egress: priority, depths and times of a packet that need not wait.
// features: timestamps and queue metadata
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> k;
    bit<8> r;
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
        sm.egress_spec = 1;
        sm.priority = 7;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        bool waited = sm.deq_timedelta != 0 || sm.enq_qdepth != 0 || sm.deq_qdepth != 0;
        bool back = sm.egress_global_timestamp < sm.ingress_global_timestamp;
        hdr.data.r = waited || back || sm.egress_port != 1 ? 8w1 : 0;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
