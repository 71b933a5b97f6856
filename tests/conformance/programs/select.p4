// select: exact, masked, ranges, several subjects, default; the first match wins.
// features: select on tuples, masks and ranges
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

struct metadata_t {
    bit<9> port;
}

struct headers_t {
    data_t data;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        transition select(hdr.data.a, hdr.data.b) {
            (1, 2): one;
            (0xf0 &&& 0xf0, _): two;
            (0x10..0x1f, 0..7): three;
            (_, 0x44): four;
        }
    }
    state one {
        meta.port = 1;
        transition accept;
    }
    state two {
        meta.port = 2;
        transition accept;
    }
    state three {
        meta.port = 3;
        transition accept;
    }
    state four {
        meta.port = 4;
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = meta.port;
        if (sm.parser_error == error.NoMatch) {
            sm.egress_spec = 9;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
