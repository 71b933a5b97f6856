// A varbit field: its size from the header before it; HeaderTooShort where it is too large.
// features: varbit
#include <core.p4>
#include <v1model.p4>

header length_t {
    bit<8> words;
}

header options_t {
    bit<8>     kind;
    varbit<64> options;
    bit<8>     tail;
}

struct headers_t {
    length_t  length;
    options_t options;
    options_t copy;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.length);
        packet.extract(hdr.options, (bit<32>)hdr.length.words * 32);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (sm.parser_error == error.HeaderTooShort) {
            sm.egress_spec = 2;
        } else if (sm.parser_error == error.PacketTooShort) {
            sm.egress_spec = 3;
        } else if (hdr.options.kind == 7) {
            hdr.copy = hdr.options;
            hdr.copy.tail = 0xee;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
