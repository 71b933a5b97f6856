// User metadata may hold headers, stacks, unions, enums, errors and signed values.
// features: headers, stacks and unions in metadata
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> k;
    bit<8> r;
}

header_union either_t {
    data_t data;
}

enum Phase { before, after }

struct headers_t {
    data_t data;
}

struct metadata_t {
    data_t[2] stack;
    either_t  either;
    Phase     phase;
    error     problem;
    bool      flag;
    int<8>    delta;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        bool zero = !meta.stack[1].isValid() && !meta.either.isValid() && meta.phase == Phase.before
                    && meta.problem == error.NoError && !meta.flag && meta.delta == 0;
        meta.stack[1] = hdr.data;
        meta.either.data = meta.stack[1];
        meta.phase = Phase.after;
        meta.problem = error.NoMatch;
        meta.delta = -3;
        if (zero && meta.either.data == hdr.data && meta.phase != Phase.before && meta.delta < 0) {
            hdr.data.r = hdr.data.r - (bit<8>)meta.delta;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
