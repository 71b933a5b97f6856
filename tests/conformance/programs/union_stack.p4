// A stack of header unions, parsed by next; another member set valid invalidates the first.
// features: stacks of header unions
#include <core.p4>
#include <v1model.p4>

header short_t {
    bit<8> kind;
    bit<8> value;
}

header long_t {
    bit<8>  kind;
    bit<16> value;
}

header_union option_t {
    short_t s;
    long_t  l;
}

struct headers_t {
    option_t[3] options;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        transition select(packet.lookahead<bit<8>>()) {
            1: short_option;
            2: long_option;
            default: accept;
        }
    }
    state short_option {
        packet.extract(hdr.options.next.s);
        transition start;
    }
    state long_option {
        packet.extract(hdr.options.next.l);
        transition start;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.options[1].l.isValid()) {
            hdr.options[1].s.setValid();
            hdr.options[1].s = { 9, hdr.options[1].l.value[7:0] };
        }
        if (hdr.options[2].isValid()) {
            sm.egress_spec = 2;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
