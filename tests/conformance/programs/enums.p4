// Enums, serialisable enums, typedefs, newtypes, constants, tuples and errors as values.
// features: enum and serialisable enum; typedef and type; tuples; error values; constants
#include <core.p4>
#include <v1model.p4>

enum Colour { red, green, blue }

enum bit<8> Kind {
    request = 1,
    reply   = 2
}

typedef bit<8> byte_t;
type bit<8> port_number_t;
const byte_t OFFSET = 0x10;

header data_t {
    Kind          kind;
    byte_t        value;
    port_number_t port;
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
    apply {
        Colour colour = Colour.red;
        tuple<bit<8>, bool> pair = { OFFSET, true };
        error problem = error.NoError;
        if (hdr.data.kind == Kind.request) {
            hdr.data.kind = Kind.reply;
            colour = Colour.blue;
        } else {
            problem = error.NoMatch;
        }
        switch (colour) {
            Colour.blue: {
                hdr.data.value = hdr.data.value + pair[0];
            }
            default: {
                hdr.data.value = 0;
            }
        }
        sm.egress_spec = (bit<9>)(bit<8>)hdr.data.port;
        if (problem != error.NoError) {
            sm.egress_spec = 7;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
