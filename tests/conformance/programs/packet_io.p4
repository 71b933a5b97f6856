// Packet-out enters by the CPU port with a header that says where to; packet-in leaves with one.
// features: packet-in and packet-out headers
#include <core.p4>
#include <v1model.p4>

@controller_header("packet_in")
header packet_in_t {
    bit<9> ingress_port;
    @padding
    bit<7> unused;
}

@controller_header("packet_out")
header packet_out_t {
    bit<9> egress_port;
    bit<7> unused;
}

header data_t {
    bit<8> k;
    bit<8> r;
}

struct headers_t {
    packet_in_t to_controller;
    packet_out_t from_controller;
    data_t data;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        transition select(sm.ingress_port) {
            510: packet_out;
            default: data;
        }
    }
    state packet_out {
        packet.extract(hdr.from_controller);
        transition data;
    }
    state data {
        packet.extract(hdr.data);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.from_controller.isValid()) {
            sm.egress_spec = hdr.from_controller.egress_port;
            hdr.from_controller.setInvalid();
        } else {
            sm.egress_spec = 510;
            hdr.to_controller = { sm.ingress_port, 0 };
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
