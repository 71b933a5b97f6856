// && and || do not evaluate their right side in vain; ?: chooses; comparisons of bool.
// features: conditional expressions and short circuit
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> b;
    bit<8> calls;
    bit<8> which;
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
    bit<8> calls = 0;

    apply {
        bool both = hdr.data.a == 1 && hdr.data.b == 2;
        bool either = hdr.data.a == 1 || hdr.data.b == 2;
        hdr.data.which = both ? 8w3 : (either ? 8w2 : 8w0);
        if (both != either) {
            hdr.data.calls = 0xee;
        }
        if (!(hdr.data.a > hdr.data.b)) {
            sm.egress_spec = 1;
        } else {
            sm.egress_spec = 2;
        }
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
