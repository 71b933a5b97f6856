// Header unions: one member valid at a time; isValid of the union; emit emits the valid one.
// features: header unions
#include <core.p4>
#include <v1model.p4>

header tag_t {
    bit<8> kind;
}

header short_t {
    bit<8> value;
}

header long_t {
    bit<16> value;
}

header_union either_t {
    short_t s;
    long_t  l;
}

struct headers_t {
    tag_t    tag;
    either_t either;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.tag);
        transition select(hdr.tag.kind) {
            1: one;
            2: two;
            default: accept;
        }
    }
    state one {
        packet.extract(hdr.either.s);
        transition accept;
    }
    state two {
        packet.extract(hdr.either.l);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (hdr.either.s.isValid()) {
            hdr.either.l = { 8w0 ++ hdr.either.s.value };
        } else if (hdr.either.l.isValid()) {
            hdr.either.s.setValid();
            hdr.either.s.value = hdr.either.l.value[7:0];
        }
        if (!hdr.either.isValid()) {
            sm.egress_spec = 2;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
