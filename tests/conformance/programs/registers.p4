// Registers keep state between packets; the control plane reads and writes them.
// features: register
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  i;
    bit<16> old;
    bit<16> now;
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
    register<bit<16>>(16) totals;
    register<int<8>>(2) lows;

    apply {
        int<8> low;
        totals.read(hdr.data.old, (bit<32>)hdr.data.i);
        totals.write((bit<32>)hdr.data.i, hdr.data.old + hdr.data.now);
        totals.read(hdr.data.now, (bit<32>)hdr.data.i);
        lows.read(low, 1);
        if (low < 0) {
            sm.egress_spec = 2;
        } else {
            sm.egress_spec = 1;
        }
        lows.write(1, (int<8>)(bit<8>)hdr.data.now[7:0]);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
