// extract into nothing, lookahead of structs, tuples and headers, select on a bool.
// features: extract into nothing; lookahead; select on tuples, masks and ranges
#include <core.p4>
#include <v1model.p4>

struct both_t {
    bit<8> k;
    bit<8> r;
}

header data_t {
    bit<8> k;
    bit<8> r;
}

struct headers_t {
    data_t data;
}

struct metadata_t {
    bit<8> sum;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract<data_t>(_);
        both_t both = packet.lookahead<both_t>();
        tuple<bit<8>, bit<8>> pair = packet.lookahead<tuple<bit<8>, bit<8>>>();
        meta.sum = both.k + both.r + pair[1] + packet.lookahead<data_t>().r;
        transition select(both.k == 1, both.r) {
            (true, 1..3): wanted;
            (false, _): other;
        }
    }
    state wanted {
        packet.extract(hdr.data);
        hdr.data.r = meta.sum;
        transition accept;
    }
    state other {
        packet.extract(hdr.data);
        hdr.data.r = 0;
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
