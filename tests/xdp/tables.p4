// SPDX-License-Identifier: Apache-2.0
// One table of each kind; each writes what it found into a header field of its own.
#include <core.p4>
#include <v1model.p4>

header keys_t {
    bit<48> mac;
    bit<4>  small;
    bit<12> vlan;
    bit<20> label;
    bit<12> odd;
    bit<128> wide;
    int<8>  sign;
    bit<8>  kind;
}

header found_t {
    bit<16> exact_found;
    bit<16> index_found;
    bit<16> lpm_found;
    bit<16> ternary_found;
    bit<16> range_found;
    bit<16> wide_found;
    bit<16> member;
    bit<8>  hits;
}

struct headers_t {
    keys_t  keys;
    found_t found;
}

struct metadata_t {}

parser Read(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.keys);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout metadata_t meta) { apply {} }

control Lookup(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    direct_counter(CounterType.packets_and_bytes) exact_counter;
    direct_counter(CounterType.packets_and_bytes) lpm_counter;
    direct_counter(CounterType.packets_and_bytes) ternary_counter;
    action_selector(HashAlgorithm.crc16, 32w64, 32w16) selector;

    action set_exact(bit<16> value) { hdr.found.exact_found = value; }
    action set_index(bit<16> value) { hdr.found.index_found = value; }
    action set_lpm(bit<16> value, int<8> more) { hdr.found.lpm_found = value + (bit<16>)(bit<8>)more; }
    action set_ternary(bit<16> value) { hdr.found.ternary_found = value; }
    action set_range(bit<16> value) { hdr.found.range_found = value; }
    action set_wide(bit<128> value) { hdr.found.wide_found = value[127:112] ^ value[15:0]; }
    action set_member(bit<16> value) { hdr.found.member = value; }
    action other(bit<8> value) { hdr.found.hits = hdr.found.hits + value; }

    table exacts {
        key = { hdr.keys.mac: exact; hdr.keys.kind: exact; }
        actions = { set_exact; other; NoAction; }
        counters = exact_counter;
        default_action = NoAction();
        size = 64;
    }
    table indexed {
        key = { hdr.keys.small: exact; hdr.keys.sign: exact; }
        actions = { set_index; other; NoAction; }
        default_action = set_index(0xdead);
        size = 64;
    }
    table prefixes {
        key = { hdr.keys.odd: exact; hdr.keys.label: lpm; }
        actions = { set_lpm; other; NoAction; }
        counters = lpm_counter;
        default_action = NoAction();
        size = 64;
    }
    table ternaries {
        key = { hdr.keys.mac: ternary; hdr.keys.label: lpm; hdr.keys.sign: ternary; hdr.keys.kind: exact; }
        actions = { set_ternary; other; NoAction; }
        counters = ternary_counter;
        default_action = NoAction();
        size = 64;
    }
    table ranges {
        key = { hdr.keys.vlan: range; hdr.keys.small: optional; hdr.keys.wide: ternary; }
        actions = { set_range; other; NoAction; }
        default_action = NoAction();
        size = 64;
    }
    table wides {
        key = { hdr.keys.wide: lpm; }
        actions = { set_wide; other; NoAction; }
        default_action = set_wide(1);
        size = 64;
    }
    table members {
        key = { hdr.keys.small: exact; hdr.keys.mac: selector; hdr.keys.label: selector; }
        actions = { set_member; other; NoAction; }
        implementation = selector;
        size = 64;
    }
    apply {
        sm.egress_spec = 1;
        hdr.found.setValid();
        hdr.found.exact_found = 0;
        hdr.found.index_found = 0;
        hdr.found.lpm_found = 0;
        hdr.found.ternary_found = 0;
        hdr.found.range_found = 0;
        hdr.found.wide_found = 0;
        hdr.found.member = 0;
        hdr.found.hits = 0;
        if (exacts.apply().hit) {
            hdr.found.hits = hdr.found.hits + 1;
        }
        indexed.apply();
        switch (prefixes.apply().action_run) {
            set_lpm: { hdr.found.hits = hdr.found.hits + 2; }
            other: { hdr.found.hits = hdr.found.hits + 4; }
            default: { hdr.found.hits = hdr.found.hits + 8; }
        }
        ternaries.apply();
        ranges.apply();
        wides.apply();
        members.apply();
    }
}

control Leave(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) { apply {} }
control NoCompute(inout headers_t hdr, inout metadata_t meta) { apply {} }
control Write(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.found);
        packet.emit(hdr.keys);
    }
}

V1Switch(Read(), NoVerify(), Lookup(), Leave(), NoCompute(), Write()) main;
