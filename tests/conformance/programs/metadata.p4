// standard_metadata: what ingress and egress see; user metadata begins as zero.
// features: standard_metadata
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  in_port;
    bit<8>  out_port;
    bit<32> length;
    bit<32> egress_length;
    bit<8>  zero;
    bit<8>  later;
}

header extra_t {
    bit<32> value;
}

struct headers_t {
    data_t  data;
    extra_t extra;
}

struct metadata_t {
    bit<8>  zero;
    bit<48> arrival;
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
        hdr.data.in_port = sm.ingress_port[7:0];
        hdr.data.length = sm.packet_length;
        hdr.data.zero = meta.zero;
        meta.zero = 0xff;
        meta.arrival = sm.ingress_global_timestamp;
        hdr.extra.setValid();
        hdr.extra.value = 0xdeadbeef;
        sm.egress_spec = 6;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.data.out_port = sm.egress_port[7:0];
        hdr.data.egress_length = sm.packet_length;
        hdr.data.later = 0;
        if (sm.egress_global_timestamp >= meta.arrival && sm.deq_qdepth == 0 && sm.instance_type == 0) {
            hdr.data.later = 1;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
