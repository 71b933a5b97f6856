// Hash algorithms over the digits 1 to 9: the check values of the literature; base and max.
// features: hash: crc16, crc32, csum16, xor16, identity; hash: crc16_custom, crc32_custom
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<72> digits;
    bit<32> crc32;
    bit<16> crc16;
    bit<16> csum16;
    bit<16> xor16;
    bit<64> identity;
    bit<16> limited;
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
        hash(hdr.data.crc32, HashAlgorithm.crc32, 32w0, { hdr.data.digits }, 64w0x100000000);
        hash(hdr.data.crc16, HashAlgorithm.crc16, 16w0, { hdr.data.digits }, 32w0x10000);
        hash(hdr.data.csum16, HashAlgorithm.csum16, 16w0, { hdr.data.digits }, 32w0x10000);
        hash(hdr.data.xor16, HashAlgorithm.xor16, 16w0, { hdr.data.digits }, 32w0x10000);
        hash(hdr.data.identity, HashAlgorithm.identity, 64w0, { hdr.data.digits[71:64], hdr.data.digits[63:0] },
             65w0x10000000000000000);
        hash(hdr.data.limited, HashAlgorithm.crc16, 16w100, { hdr.data.digits }, 16w10);
        sm.egress_spec = 1;
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
