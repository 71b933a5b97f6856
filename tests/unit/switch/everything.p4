// Every kind of object that P4Runtime knows of in a v1model program.
#include <core.p4>
#include <v1model.p4>

@p4runtime_translation("p4cats.example/port", string)
type bit<9> port_name_t;
@p4runtime_translation("p4cats.example/vrf", 32)
type bit<16> vrf_t;
type bit<8> class_t;

@controller_header("packet_in")
header packet_in_t {
    bit<9> ingress_port;
    bit<7> reason;
}

@controller_header("packet_out")
header packet_out_t {
    bit<9> egress_port;
    @padding bit<7> unused;
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv4_t {
    bit<4> version; bit<4> ihl; bit<8> tos; bit<16> length;
    bit<16> id; bit<3> flags; bit<13> offset;
    bit<8> ttl; bit<8> protocol; bit<16> checksum;
    bit<32> src; bit<32> dst;
}

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
    ipv4_t ipv4;
}

struct metadata_t {
    vrf_t vrf;
    class_t class;
    port_name_t port;
    bit<16> selector;
}

struct learn_t {
    bit<48> address;
    bit<9> port;
    bool first;
}

struct cell_t {
    bit<32> seen;
    bit<8> flags;
}

parser P(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    value_set<bit<16>>(4) known_types;
    state start {
        transition select(sm.ingress_port) {
            510: from_controller;
            default: ethernet;
        }
    }
    state from_controller {
        packet.extract(hdr.packet_out);
        transition ethernet;
    }
    state ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            0x0800: ipv4;
            known_types: ipv4;
            default: accept;
        }
    }
    state ipv4 {
        packet.extract(hdr.ipv4);
        transition accept;
    }
}

control V(inout headers_t hdr, inout metadata_t meta) { apply { } }

control I(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    counter(16, CounterType.packets_and_bytes) port_packets;
    meter(8, MeterType.packets) port_meter;
    register<bit<32>>(8) last_seen;
    register<cell_t>(4) cells;
    direct_counter(CounterType.packets_and_bytes) route_counter;
    direct_meter<bit<8>>(MeterType.bytes) acl_meter;
    @max_group_size(4) action_selector(HashAlgorithm.crc16, 16, 16) ways;
    action_profile(8) shared;
    bit<8> color;

    action drop() { mark_to_drop(sm); }
    action forward(bit<9> port) { sm.egress_spec = port; }
    action rewrite(bit<48> dst, bit<9> port) { hdr.ethernet.dst = dst; sm.egress_spec = port; }
    action to_controller() { sm.egress_spec = 510; }
    action flood(bit<16> group) { sm.mcast_grp = group; }
    action mark() { acl_meter.read(color); }
    action set_class(class_t class) { meta.class = class; }
    action set_port(port_name_t port) { meta.port = port; }
    action learn() {
        digest<learn_t>(1, { hdr.ethernet.src, sm.ingress_port, true });
    }

    table stations {
        key = { hdr.ethernet.dst: exact @name("address"); }
        actions = { forward; flood; @tableonly to_controller; @defaultonly drop; NoAction; }
        default_action = drop();
        size = 4;
    }
    table routes {
        key = { meta.vrf: exact @name("vrf"); hdr.ipv4.dst: lpm @name("dst"); }
        actions = { rewrite; forward; drop; }
        default_action = drop();
        counters = route_counter;
        size = 131072;
    }
    table acl {
        key = {
            hdr.ipv4.src: ternary @name("src");
            hdr.ipv4.length: range @name("length");
            hdr.ipv4.protocol: optional @name("protocol");
        }
        actions = { mark; drop; @defaultonly NoAction; }
        meters = acl_meter;
        const default_action = NoAction();
        size = 64;
    }
    table classes {
        key = { hdr.ipv4.tos: ternary @name("tos"); }
        actions = { set_class; }
        const entries = {
            0x2e &&& 0xfc : set_class((class_t) 7);
            _             : set_class((class_t) 1);
        }
    }
    table learned {
        key = { hdr.ethernet.src: exact @name("address"); }
        actions = { NoAction; learn; }
        default_action = learn();
        support_timeout = true;
        size = 256;
    }
    table presets {
        key = { sm.ingress_port: exact @name("port"); }
        actions = { set_port; NoAction; }
        default_action = NoAction();
        entries = {
            const 1 : set_port((port_name_t) 1);
            2       : NoAction();
        }
        size = 16;
    }
    table always {
        actions = { flood; NoAction; }
        default_action = NoAction();
    }
    table balanced {
        key = {
            hdr.ipv4.dst: lpm @name("dst");
            hdr.ipv4.src: selector;
            meta.selector: selector;
        }
        actions = { rewrite; forward; }
        implementation = ways;
        size = 16;
    }
    table profiled {
        key = { hdr.ipv4.tos: exact @name("tos"); }
        actions = { set_class; NoAction; }
        implementation = shared;
        size = 16;
    }

    apply {
        if (hdr.packet_out.isValid()) {
            sm.egress_spec = hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
            exit;
        }
        port_packets.count((bit<32>) sm.ingress_port & 15);
        port_meter.execute_meter((bit<32>) sm.ingress_port & 7, color);
        last_seen.write((bit<32>) sm.ingress_port & 7, (bit<32>) sm.packet_length);
        cell_t cell;
        cells.read(cell, 0);
        cell.seen = cell.seen + 1;
        cells.write(0, cell);
        learned.apply();
        presets.apply();
        if (hdr.ipv4.isValid()) {
            classes.apply();
            acl.apply();
            profiled.apply();
            if (!routes.apply().hit) { balanced.apply(); }
        } else {
            stations.apply();
        }
        always.apply();
    }
}

control E(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {
        if (sm.egress_port == 510) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = sm.ingress_port;
            hdr.packet_in.reason = 1;
        }
    }
}

control C(inout headers_t hdr, inout metadata_t meta) { apply { } }

control D(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.ipv4);
    }
}

V1Switch(P(), V(), I(), E(), C(), D()) main;
