// Entries in the program: range, optional, ternary; the first that matches wins.
// features: const entries; range and optional keys
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
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
    action mark(bit<8> v) {
        hdr.data.r = v;
        sm.egress_spec = 1;
    }
    action other() {
        sm.egress_spec = 2;
    }

    table ranges {
        key = { hdr.data.a: range; hdr.data.b: ternary; }
        actions = { mark; other; }
        const default_action = other();
        const entries = {
            (0x10..0x1f, 7): mark(1);
            (0x18..0x2f, _): mark(2);
            (5, 0x80 &&& 0x80): mark(3);
            (_, 0xee): mark(4);
        }
    }

    table choices {
        key = { hdr.data.a: optional; hdr.data.b: optional; }
        actions = { mark; NoAction; }
        const default_action = NoAction();
        const entries = {
            (1, 1): mark(0x11);
            (1, _): mark(0x1f);
            (_, 2): mark(0xf2);
        }
    }

    apply {
        switch (ranges.apply().action_run) {
            other: {
                choices.apply();
            }
            mark: {
                hdr.data.a = 0;
            }
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
