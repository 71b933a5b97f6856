// Indirect and direct counters: packets and bytes; an index outside counts nothing.
// features: counter; direct_counter; STF counter checks
#include <core.p4>
#include <v1model.p4>

header data_t {
    bit<8> a;
    bit<8> i;
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
    counter(4, CounterType.packets_and_bytes) indirect;
    direct_counter(CounterType.packets_and_bytes) direct;

    action go() {
        direct.count();
        sm.egress_spec = 1;
    }
    action silent() {
        sm.egress_spec = 1;
    }

    table counted {
        key = { hdr.data.a: exact; }
        actions = { go; silent; }
        default_action = silent;
        counters = direct;
    }

    apply {
        counted.apply();
        indirect.count((bit<32>)hdr.data.i);
    }
}

V1Switch(Parse(), Verify(), TestIngress(), TestEgress(), Compute(), Deparse()) main;
