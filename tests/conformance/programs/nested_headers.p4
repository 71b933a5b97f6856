// Structs inside headers; wide and odd-sized fields.
// features: structs inside headers; fields wider than 64 bits
#include <core.p4>
#include <v1model.p4>

struct half_t {
    bit<4> high;
    bit<4> low;
}

header data_t {
    half_t  half;
    bit<24> three;
    bit<40> five;
    bit<3>  top;
    bit<5>  rest;
    bit<72> nine;
    bit<160> twenty;
    bool    flag;
    bit<7>  pad;
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
        half_t copy = hdr.data.half;
        hdr.data.half = { copy.low, copy.high };
        hdr.data.three = hdr.data.three + 1;
        hdr.data.five = hdr.data.five + 1;
        hdr.data.rest = hdr.data.rest + 1;
        hdr.data.nine = hdr.data.nine + 1;
        hdr.data.twenty = hdr.data.twenty - 1;
        hdr.data.flag = !hdr.data.flag;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
