// random stays within its bounds; log_msg and a true assert change nothing.
// features: random; log_msg, assert, assume
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
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
        bit<8> dice;
        random(dice, 1, 6);
        random(hdr.data.a, 5, 5);
        log_msg("dice = {}, a = {}", { dice, hdr.data.a });
        assert(dice >= 1 && dice <= 6);
        assume(hdr.data.a == 5);
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
