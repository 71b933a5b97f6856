// digest sends values of the packet to the control plane and changes nothing else.
// features: digest
#include <core.p4>
#include <v1model.p4>

struct seen_t {
    bit<8> key;
    bool   odd;
}

header data_t {
    bit<8> k;
    bit<8> r;
}

struct headers_t {
    data_t data;
}

struct metadata_t {}

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
        digest<seen_t>(1, { hdr.data.k, hdr.data.r[0:0] == 1 });
        hdr.data.r = hdr.data.r;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
