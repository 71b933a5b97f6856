// Structs: nested assignment copies, lists are evaluated before they are stored, comparison.
// features: structs: assignment, lists, comparison
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
    bit<8> c;
    bit<8> d;
}

struct pair_t {
    bit<8> left;
    bit<8> right;
}

struct outer_t {
    pair_t first;
    pair_t second;
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
    pair_t p;
    outer_t x;
    outer_t y;

    apply {
        p = { hdr.data.a, hdr.data.b };
        p = { p.right, p.left };
        x.first = p;
        x.second = { p.right, p.left };
        y = x;
        x.first.left = 0;
        hdr.data.a = y.first.left;
        hdr.data.b = y.first.right;
        hdr.data.c = x.first.left;
        if (y.second == { hdr.data.b, hdr.data.a } && y != x) {
            hdr.data.d = 1;
        }
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
