// What a hash covers: fields of invalid headers are left out, a varbit counts with its current width.
// features: hash over invalid headers and varbits
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8>     length;
    varbit<32> options;
}

header result_t {
    bit<32> value;
}

struct headers_t {
    data_t   data;
    result_t result;
    result_t absent;
}

struct metadata_t {}

#include "include/rest.p4"

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        bit<8> length = packet.lookahead<bit<8>>();
        packet.extract(hdr.data, (bit<32>)length << 3);
        packet.extract(hdr.result);
        transition accept;
    }
}

control TestIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 1;
        hash(hdr.result.value, HashAlgorithm.identity, 32w0, { hdr.absent.value, hdr.data.length, hdr.data.options },
             64w0x100000000);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
