// lpm: the longest prefix wins, whatever the order of insertion; with an exact key beside it.
// features: lpm keys
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>  vrf;
    bit<32> address;
    bit<8>  r;
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

    table routes {
        key = { hdr.data.vrf: exact; hdr.data.address: lpm; }
        actions = { mark; other; }
        default_action = other();
    }

    apply {
        routes.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
