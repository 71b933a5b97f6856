// One of each kind of state that a controller writes.
#include <core.p4>
#include <v1model.p4>

header data_t { bit<8> kind; bit<8> value; bit<16> result; }
struct headers_t { data_t data; data_t more; }
struct meta_t { bit<16> group; }
struct cell_t { bit<8> low; bit<8> high; }

parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    value_set<bit<8>>(4) long_kinds;
    state start {
        packet.extract(hdr.data);
        transition select(hdr.data.kind) { long_kinds: more; default: accept; }
    }
    state more { packet.extract(hdr.more); transition accept; }
}
control V(inout headers_t hdr, inout meta_t meta) { apply {} }
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    register<bit<16>>(4) plain;
    register<cell_t>(2) pairs;
    action_selector(HashAlgorithm.crc16, 16, 16) ways;
    action result(bit<16> value) { hdr.data.result = value; }
    action flood(bit<16> group) { sm.mcast_grp = group; }
    action leave(bit<9> port) { sm.egress_spec = port; }
    action nothing() {}
    table presets {
        key = { hdr.data.value: exact; }
        actions = { result; nothing; }
        default_action = nothing();
        entries = { 1: result(0x101); 2: result(0x102); }
    }
    table masks {
        key = { hdr.data.kind: ternary; hdr.data.value: range; }
        actions = { result; nothing; }
        default_action = nothing();
    }
    table spread {
        key = { hdr.data.kind: exact; hdr.data.value: selector; }
        actions = { leave; flood; nothing; }
        implementation = ways;
    }
    apply {
        bit<16> kept;
        cell_t pair;
        presets.apply();
        masks.apply();
        plain.read(kept, 3);
        pairs.read(pair, 1);
        hdr.data.value = pair.high;
        if (kept != 0) { hdr.data.result = kept; }
        spread.apply();
        if (hdr.data.kind == 9) { clone(CloneType.I2E, 5); }
    }
}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply {} }
control C(inout headers_t hdr, inout meta_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.data); packet.emit(hdr.more); } }
V1Switch(P(), V(), I(), E(), C(), D()) main;
