// Actions called directly: in, inout and out parameters, actions that call actions, return.
// features: direct calls of actions
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
    bit<8> c;
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
    action add(inout bit<8> target, in bit<8> amount) {
        target = target + amount;
    }
    action split(in bit<8> value, out bit<8> high, out bit<8> low) {
        high = value >> 4;
        low = value & 0xf;
    }
    action add_twice(inout bit<8> target, in bit<8> amount) {
        if (amount == 0) {
            target = 0xff;
            return;
        }
        add(target, amount);
        add(target, amount);
    }

    apply {
        add_twice(hdr.data.a, hdr.data.b);
        split(hdr.data.a, hdr.data.b, hdr.data.c);
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
