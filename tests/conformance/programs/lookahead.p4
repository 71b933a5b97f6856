// lookahead reads without moving, advance moves without reading.
// features: lookahead; advance
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
}

struct metadata_t {
    bit<4>  nibble;
    bit<16> word;
}

struct headers_t {
    data_t data;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        meta.nibble = packet.lookahead<bit<4>>();
        meta.word = packet.lookahead<bit<16>>();
        packet.advance(16);
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = (bit<9>)meta.nibble;
        if (hdr.data.isValid()) {
            hdr.data.a = meta.word[15:8];
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
