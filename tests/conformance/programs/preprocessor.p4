// Macros with arguments, conditions and includes.
// features: preprocessor
#include <core.p4>
#include <v1model.p4>

#define SUM(a, b) ((a) + (b))
#define JOIN(a, b) a ## b
#if defined(SUM) && SUM(1, 2) == 3
#define ANSWER 8w42
#elif 1
#define ANSWER 8w0
#endif

header data_t {
    bit<8> k;
    bit<8> r;
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
        sm.egress_spec = 1;
        hdr.data.JOIN(, r) = SUM(ANSWER, 0);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
