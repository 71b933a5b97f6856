// V1MODEL_VERSION 20200408: indexes have types of their own, PortId_t exists.
// features: V1MODEL_VERSION 20200408
#define V1MODEL_VERSION 20200408
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

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    register<bit<8>, bit<4>>(16) last;
    counter<bit<8>>(8, CounterType.packets) seen;
    meter<PortId_t>(4, MeterType.bytes) colour;

    apply {
        PortId_t out_port = 1;
        bit<2> c;
        sm.egress_spec = out_port;
        seen.count(hdr.data.k);
        colour.execute_meter(sm.ingress_port, c);
        last.read(hdr.data.r, hdr.data.k[3:0]);
        last.write(hdr.data.k[3:0], hdr.data.k + (bit<8>)c);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
