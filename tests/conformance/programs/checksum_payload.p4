// Checksums with payload cover the bytes that the parser left, odd lengths padded.
// features: checksums with payload
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<16> a;
    bit<16> sum;
}

struct headers_t {
    data_t data;
}

struct metadata_t {}

#define WITH_VERIFY
#define WITH_COMPUTE
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
        if (sm.checksum_error == 1) {
            sm.egress_spec = 2;
        }
        hdr.data.a = 0;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum_with_payload(true, { hdr.data.a }, hdr.data.sum, HashAlgorithm.csum16);
    }
}

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum_with_payload(true, { hdr.data.a }, hdr.data.sum, HashAlgorithm.csum16);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
