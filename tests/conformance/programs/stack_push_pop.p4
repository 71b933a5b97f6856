// push_front and pop_front move elements; new ones are invalid; run-time index.
// features: header stacks: push_front, pop_front; header stacks: run-time index
#include <core.p4>
#include <v1model.p4>

header item_t {
    bit<1> last;
    bit<7> value;
}

struct headers_t {
    item_t[4] items;
}

struct metadata_t {
    bit<32> index;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.items.next);
        transition select(hdr.items.last.last) {
            1: accept;
            0: start;
        }
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.items[0].value == 1) {
            hdr.items.push_front(2);
            hdr.items[0] = { 0, 0x70 };
        } else if (hdr.items[0].value == 2) {
            hdr.items.pop_front(1);
        } else {
            meta.index = (bit<32>)hdr.items[0].value - 3;
            hdr.items[meta.index].value = 0x7f;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
