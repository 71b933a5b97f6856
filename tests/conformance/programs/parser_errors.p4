// verify and short packets: the parse ends, headers so far stay valid, ingress runs.
// features: parser errors reach ingress
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> version;
    bit<8> value;
}

error {
    BadVersion
}

struct headers_t {
    data_t data;
    data_t more;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.data);
        verify(hdr.data.version == 4, error.BadVersion);
        packet.extract(hdr.more);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (sm.parser_error == error.NoError) {
            sm.egress_spec = 1;
        } else if (sm.parser_error == error.BadVersion) {
            sm.egress_spec = 2;
        } else if (sm.parser_error == error.PacketTooShort) {
            sm.egress_spec = 3;
        }
        if (hdr.data.isValid()) {
            hdr.data.value = hdr.data.value + 1;
        }
        if (hdr.more.isValid()) {
            hdr.more.value = 0xff;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
