// Keys and action data of every type that a controller can give: bool, enum, newtype, int, 128 bits.
// features: keys and action data of bool, enum, type, int<W>; fields wider than 64 bits
#include <core.p4>
#include <v1model.p4>

enum bit<8> Kind {
    request = 1,
    reply   = 2
}

type bit<8> port_t;

header data_t {
    Kind     kind;
    port_t   port;
    int<8>   delta;
    bit<128> long;
}

struct headers_t {
    data_t data;
}

struct metadata_t {
    bool odd;
}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    action set(Kind kind, int<8> delta, bool on) {
        hdr.data.kind = kind;
        hdr.data.delta = delta;
        if (on) {
            hdr.data.long = hdr.data.long - 1;
        }
    }

    table kinds {
        key = {
            hdr.data.kind: exact;
            hdr.data.port: exact;
            hdr.data.delta: exact;
            hdr.data.long: exact;
            meta.odd: exact;
        }
        actions = { set; }
    }

    apply {
        sm.egress_spec = 1;
        meta.odd = (bool)hdr.data.long[0:0];
        kinds.apply();
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
