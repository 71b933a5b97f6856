// Entries that the program writes with priorities: the smaller wins where the table says so.
// features: entries with priorities
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
    action low(bit<4> n) {
        hdr.data.r[3:0] = n;
    }
    action high(bit<4> n) {
        hdr.data.r[7:4] = n;
    }

    table smallest_wins {
        key = { hdr.data.k: ternary; }
        actions = { high; }
        largest_priority_wins = false;
        priority_delta = 10;
        entries = {
            const priority = 10: 0x11: high(2);
            0x10 &&& 0xf0: high(1);
            priority = 50: _: high(3);
        }
    }

    table largest_wins {
        key = { hdr.data.k: ternary; }
        actions = { low; }
        entries = {
            priority = 5: _: low(3);
            priority = 10: 0x11: low(1);
            priority = 9: 0x10 &&& 0xf0: low(2);
        }
    }

    apply {
        sm.egress_spec = 1;
        smallest_wins.apply();
        largest_wins.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
