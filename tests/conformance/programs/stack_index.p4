// A run-time index into a stack is evaluated once, before the element changes.
// features: header stacks: run-time index
#include <core.p4>
#include <v1model.p4>

header item_t {
    bit<8> v;
    bit<8> w;
}

struct headers_t {
    item_t[3] items;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.items.next);
        transition select(hdr.items.lastIndex) {
            2: accept;
            default: start;
        }
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.items[0].v == 0) {
            hdr.items[hdr.items[0].v] = { 3, 4 };
        } else {
            hdr.items[hdr.items[0].v].v = 0xff;        // writes item 1
            hdr.items[0] = hdr.items[hdr.items[0].v];  // copies it
            hdr.items[0] = { hdr.items[1].v + 3, 3 };
            hdr.items[1] = { 0xff, 3 };
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
