// verify_checksum sets checksum_error, update_checksum mends the header after egress.
// features: verify_checksum and update_checksum
#include <core.p4>
#include <v1model.p4>

header ipv4_t {
    bit<4>  version;
    bit<4>  ihl;
    bit<8>  tos;
    bit<16> length;
    bit<32> fragment;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

struct headers_t {
    ipv4_t ip;
}

struct metadata_t {}

#define WITH_VERIFY
#define WITH_COMPUTE
#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.ip);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        if (sm.checksum_error == 1) {
            sm.egress_spec = 2;
        }
        hdr.ip.ttl = hdr.ip.ttl - 1;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ip.version == 4,
                        { hdr.ip.version, hdr.ip.ihl, hdr.ip.tos, hdr.ip.length, hdr.ip.fragment, hdr.ip.ttl, hdr.ip.protocol,
                          hdr.ip.source, hdr.ip.destination },
                        hdr.ip.checksum, HashAlgorithm.csum16);
    }
}

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ip.version == 4,
                        { hdr.ip.version, hdr.ip.ihl, hdr.ip.tos, hdr.ip.length, hdr.ip.fragment, hdr.ip.ttl, hdr.ip.protocol,
                          hdr.ip.source, hdr.ip.destination },
                        hdr.ip.checksum, HashAlgorithm.csum16);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
