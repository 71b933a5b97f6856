// A parser that calls another; its reject is the caller's.
// features: sub-parsers
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
}

struct headers_t {
    data_t first;
    data_t second;
    data_t third;
}

struct metadata_t {}

#include "include/rest.p4"

parser Second(packet_in packet, out data_t item, in bit<8> kind, out bit<8> seen) {
    state start {
        packet.extract(item);
        seen = item.a + kind;
        transition select(item.a) {
            2: accept;
            3: more;
        }
    }
    state more {
        seen = 0;
        transition accept;
    }
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    Second() second;
    bit<8> seen;

    state start {
        packet.extract(hdr.first);
        transition select(hdr.first.a) {
            1: inner;
            default: accept;
        }
    }
    state inner {
        second.apply(packet, hdr.second, hdr.first.a, seen);
        transition select(seen) {
            3: third;
            default: accept;
        }
    }
    state third {
        packet.extract(hdr.third);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = (bit<9>)(hdr.third.isValid() ? 8w1 : 8w2);
        if (sm.parser_error == error.NoMatch) {
            sm.egress_spec = 3;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
