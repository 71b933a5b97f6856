// switch on action_run: labels that share a body, default; hit and miss as values.
// features: hit, miss and action_run
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
    action first() {}
    action second() {}
    action third(bit<8> r) {
        hdr.data.r = r;
    }

    table choose {
        key = { hdr.data.k: exact; }
        actions = { first; second; third; NoAction; }
        default_action = NoAction;
    }

    table again {
        key = { hdr.data.k: exact; }
        actions = { NoAction; }
    }

    apply {
        sm.egress_spec = 1;
        bool missed = false;
        switch (choose.apply().action_run) {
            first:
            second: {
                hdr.data.r = 0x12;
            }
            NoAction: {
                missed = true;
            }
            default: {
                hdr.data.r = 0xff;
            }
        }
        if (missed) {
            hdr.data.r = again.apply().miss ? 8w0xfe : 0;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
