// Casts truncate or extend by the operand's signedness; bool and bit<1> convert into each other.
// features: casts
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<16> a;
    bit<8>  low;
    bit<32> wide;
    int<32> signed_wide;
    bit<8>  flag;
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
        hdr.data.low = (bit<8>)hdr.data.a;
        hdr.data.wide = (bit<32>)hdr.data.a;
        hdr.data.signed_wide = (int<32>)(int<16>)hdr.data.a;
        bool odd = (bool)hdr.data.a[0:0];
        hdr.data.flag = 7w0 ++ (bit<1>)odd;
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
