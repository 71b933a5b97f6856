// Shifts by constants and by variables; a count of W or more gives zero (or the sign).
// features: shifts
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  count;
    bit<32> value;
    bit<32> left;
    bit<32> right;
    int<32> arithmetic;
    bit<32> constant;
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
        hdr.data.left = hdr.data.value << hdr.data.count;
        hdr.data.right = hdr.data.value >> hdr.data.count;
        hdr.data.arithmetic = (int<32>)hdr.data.value >> hdr.data.count;
        hdr.data.constant = (hdr.data.value << 4) | (hdr.data.value >> 28);
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
