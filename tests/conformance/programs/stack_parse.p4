// A stack filled in a loop by next; last; StackOutOfBounds where it is full.
// features: header stacks: next, last, lastIndex
#include <core.p4>
#include <v1model.p4>

header item_t {
    bit<1> last;
    bit<7> value;
}

struct headers_t {
    item_t[4] items;
}

struct metadata_t {}

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
        if (sm.parser_error == error.StackOutOfBounds) {
            sm.egress_spec = 3;
        } else {
            sm.egress_spec = 1;
        }
        hdr.items[0].value = hdr.items[0].value + 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
