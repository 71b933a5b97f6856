// Externs at top level are shared by ingress and egress.
// features: extern instances at top level
#include <core.p4>
#include <v1model.p4>

register<bit<8>>(1) total;
counter(1, CounterType.packets) passes;

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
        passes.count(0);
        bit<8> n;
        total.read(n, 0);
        total.write(0, n + 1);
        hdr.data.r = n + hdr.data.k;
    }
}

control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        passes.count(0);
        bit<8> n;
        total.read(n, 0);
        total.write(0, n + 1);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
