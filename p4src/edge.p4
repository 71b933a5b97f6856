// SPDX-License-Identifier: Apache-2.0
// Edge forwarder: ingress and egress CATS-Forwarder (RFC 10053) in one program.
//
//   from clients   classify -> affinity or selection -> H.Encaps.Red to the instance's SID -> route
//   to instances   End.DX6 -> the instance's link
//   to clients     check and learn the load that the response carries, blank it -> the client's link
//   beacons        check and learn the load, drop
#include <core.p4>
#include <v1model.p4>

#include "include/cats_protocol.h"
#include "include/headers.p4"
#include "include/forwarding.p4"
#include "include/domain.p4"
#include "include/neighbor.p4"
#include "include/srv6.p4"
#include "include/metrics.p4"
#include "include/selection.p4"
#include "include/affinity.p4"
#include "include/int.p4"
#include "include/int_edge.p4"

parser EdgeParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                  inout standard_metadata_t standard_metadata) {
    IntParser() int_parser;

    state start {
        transition select(standard_metadata.ingress_port) {
            CPU_PORT: parse_packet_out;
            default: parse_ethernet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ethertype) {
            ETHERTYPE_IPV6: parse_network;
            default: accept;
        }
    }

    state parse_network {
        bit<56> begin = packet.lookahead<bit<56>>();
        transition select(begin[7:0]) {
            PROTO_IPV6: parse_outer;
            PROTO_ROUTING: parse_outer;
            default: parse_ipv6;
        }
    }

    state parse_outer {
        packet.extract(hdr.outer);
        transition select(hdr.outer.next_header) {
            PROTO_ROUTING: parse_srh;
            default: parse_inner;
        }
    }

    state parse_srh {
        packet.extract(hdr.srh);
        transition select(hdr.srh.routing_type, hdr.srh.ext_length) {
            (ROUTING_TYPE_SRH, 2): parse_1_segment;
            (ROUTING_TYPE_SRH, 4): parse_2_segments;
            (ROUTING_TYPE_SRH, 6): parse_3_segments;
            (ROUTING_TYPE_SRH, 8): parse_4_segments;
            default: accept;
        }
    }

    state parse_4_segments {
        packet.extract(hdr.segments.next);
        transition parse_3_segments;
    }

    state parse_3_segments {
        packet.extract(hdr.segments.next);
        transition parse_2_segments;
    }

    state parse_2_segments {
        packet.extract(hdr.segments.next);
        transition parse_1_segment;
    }

    state parse_1_segment {
        packet.extract(hdr.segments.next);
        transition select(hdr.srh.next_header) {
            PROTO_IPV6: parse_inner;
            PROTO_UDP: parse_int_in_tunnel;
            default: accept;
        }
    }

    state parse_inner {
        packet.extract(hdr.ipv6);
        transition accept;
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        transition select(hdr.ipv6.next_header, hdr.ipv6.dst[127:112]) {
            (PROTO_HOP_BY_HOP, _): parse_hop_by_hop;
            (PROTO_TCP, _): parse_tcp;
            (PROTO_UDP, CATS_SR_BLOCK): parse_udp_to_sid;
            (PROTO_UDP, _): parse_udp;
            (PROTO_ICMPV6, _): parse_icmpv6;
            default: accept;
        }
    }

    // In a tunnel of one segment INT follows the outer header.
    state parse_udp_to_sid {
        hdr.outer = hdr.ipv6;
        hdr.ipv6.setInvalid();
        transition parse_int_in_tunnel;
    }

    state parse_int_in_tunnel {
        int_parser.apply(packet, hdr);
        packet.extract(hdr.int_stack, ((bit<32>)(hdr.int_shim.length - INT_MD_WORDS)) << 5);
        transition select(hdr.int_shim.protocol) {
            PROTO_IPV6: parse_inner;
            default: accept;
        }
    }

    // INT has checksum 0, which no UDP over IPv6 has otherwise (RFC 8200, 8.1).
    state parse_udp {
        bit<32> ports = packet.lookahead<bit<32>>();
        transition select(ports[15:0]) {
            CATS_INT_PORT: parse_udp_to_int_port;
            default: parse_ports;
        }
    }

    state parse_udp_to_int_port {
        bit<64> begin = packet.lookahead<bit<64>>();
        transition select(begin[15:0]) {
            0: parse_int;
            default: parse_ports;
        }
    }

    state parse_int {
        int_parser.apply(packet, hdr);
        packet.extract(hdr.int_stack, ((bit<32>)(hdr.int_shim.length - INT_MD_WORDS)) << 5);
        transition select(hdr.int_shim.protocol) {
            PROTO_TCP: parse_ports;
            PROTO_UDP: parse_ports;
            default: accept;
        }
    }

    // Other Hop-by-Hop headers are left alone: RFC 9673 lets a forwarder skip what it does not process.
    state parse_hop_by_hop {
        bit<32> begin = packet.lookahead<bit<32>>();
        transition select(begin[23:0]) {
            (bit<8>)CATS_HBH_EXT_LENGTH ++ (bit<8>)CATS_OPTION_TYPE ++ (bit<8>)CATS_OPTION_LENGTH: parse_metric;
            default: accept;
        }
    }

    state parse_metric {
        packet.extract(hdr.metric);
        transition select(hdr.metric.next_header) {
            PROTO_TCP: parse_tcp;
            PROTO_UDP: parse_udp;
            default: accept;
        }
    }

    state parse_tcp {
        bit<112> begin = packet.lookahead<bit<112>>();
        meta.tcp = 1;
        meta.syn = begin[1:1];
        transition parse_ports;
    }

    state parse_ports {
        packet.extract(hdr.ports);
        transition accept;
    }

    state parse_icmpv6 {
        bit<8> type = packet.lookahead<bit<8>>();
        transition select(type) {
            ICMPV6_NEIGHBOR_SOLICITATION: parse_neighbor;
            default: accept;
        }
    }

    state parse_neighbor {
        packet.extract(hdr.neighbor);
        transition select(hdr.ipv6.payload_length) {
            32: parse_link_layer;
            default: accept;
        }
    }

    state parse_link_layer {
        packet.extract(hdr.link_layer);
        transition accept;
    }
}

control EdgeVerify(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

// Steers a request: hdr.ipv6 is addressed to a service.
control Steering(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata,
                 in service_t service) {
    FindFlow() find_flow;
    Selection() selection;
    counter(CATS_INSTANCES, CounterType.packets_and_bytes) steered;
    counter(CATS_INSTANCES, CounterType.packets) placed;

    instance_t instance;
    bit<32> flow_hash;

    action encapsulate(ipv6_t headend, ipv6_t sid) {
        hdr.outer.setValid();
        hdr.outer.version = 6;
        hdr.outer.traffic_class = hdr.ipv6.traffic_class;
        hdr.outer.flow_label = flow_hash[19:0];
        hdr.outer.payload_length = hdr.ipv6.payload_length + IPV6_HEADER_BYTES;
        hdr.outer.next_header = PROTO_IPV6;
        hdr.outer.hop_limit = TUNNEL_HOP_LIMIT;
        hdr.outer.src = headend;
        hdr.outer.dst = sid;
        meta.destination = sid;
        meta.encapsulated = 1;
    }

    // H.Encaps.Red with one SID: no segment routing header.
    action steer(ipv6_t headend, ipv6_t sid) {
        encapsulate(headend, sid);
    }

    // By way of another segment: a reduced SRH that holds the last SID alone (RFC 8986, 5.2).
    action steer_via(ipv6_t headend, ipv6_t via, ipv6_t sid) {
        encapsulate(headend, via);
        hdr.outer.payload_length = hdr.outer.payload_length + 24;
        hdr.outer.next_header = PROTO_ROUTING;
        hdr.srh.setValid();
        hdr.srh.next_header = PROTO_IPV6;
        hdr.srh.ext_length = 2;
        hdr.srh.routing_type = ROUTING_TYPE_SRH;
        hdr.srh.segments_left = 1;
        hdr.srh.last_entry = 0;
        hdr.srh.flags = 0;
        hdr.srh.tag = 0;
        hdr.segments[0].setValid();
        hdr.segments[0].sid = sid;
    }

    // The instance is attached to this switch.
    action steer_local(port_t port, mac_t source, mac_t neighbor) {
        standard_metadata.egress_spec = port;
        hdr.ethernet.src = source;
        hdr.ethernet.dst = neighbor;
        hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
        meta.done = 1;
    }

    // Instances that flows may stay with: a flow of any other is placed anew.
    table living {
        key = { instance: exact @name("instance"); }
        actions = { NoAction; }
        const default_action = NoAction();
        size = 1024;
    }

    table instances {
        key = { instance: exact @name("instance"); }
        actions = { steer; steer_via; steer_local; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 1024;
    }

    apply {
        bit<48> now = standard_metadata.ingress_global_timestamp;
        flow_t flow;
        bit<32> ports = 0;
        if (hdr.ports.isValid()) {
            ports = hdr.ports.src ++ hdr.ports.dst;
        }
        hash(flow_hash, HashAlgorithm.crc32, 32w0,
             { hdr.ipv6.src, hdr.ipv6.dst, hdr.ipv6.next_header, ports }, 33w0x100000000);
        // What the bucket's number does not tell apart, this does: it is computed in another way.
        bit<32> tag = hdr.ipv6.src[127:96] + hdr.ipv6.src[95:64] * 0x85ebca6b + hdr.ipv6.src[63:32] * 0xc2b2ae35
            + (hdr.ipv6.src[31:0] ^ hdr.ipv6.dst[31:0]) * 0x27d4eb2f + ports * 0x9e3779b1;

        find_flow.apply(flow_hash, tag, service.affinity_timeout_us, now, flow);
        instance = flow.instance;
        bit<1> confirmed = flow.confirmed;
        if (instance != 0) {
            if (!living.apply().hit) {
                instance = 0;
                confirmed = 0;
            } else if (meta.syn == 0) {
                confirmed = 1;
            }
        }
        if (instance == 0) {
            // A TCP flow in its midst that is not in the table was never tracked, or the table was lost.
            bit<1> stateless = meta.tcp & ~meta.syn;
            if (flow.worth == 0) {
                stateless = 1;
            } else if (flow.instance != 0) {
                stateless = 0;
            }
            selection.apply(service, flow_hash, stateless, now, instance);
            placed.count((bit<32>)instance);
            meta.int_placed = 1;
        }
        if (flow.worth != 0 && instance != 0) {
            flow_entries.write(flow.cell, tag ++ instance[9:0] ++ confirmed ++ flow.now);
        }
        steered.count((bit<32>)instance);
        meta.instance = instance;
        meta.int_policy = (bit<8>)service.policy;
        if (hdr.ipv6.hop_limit <= 1) {
            punt(hdr, standard_metadata, meta, PUNT_HOP_LIMIT, 0);
        } else if (!instances.apply().hit) {
            drop(standard_metadata, meta, DROP_NO_INSTANCE);
        }
    }
}

control EdgeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    DomainEdge() domain_edge;
    NeighborDiscovery() neighbor_discovery;
    SegmentEndpoint() segment_endpoint;
    Steering() steering;
    Forwarding() forwarding;
    LearnMetric() learn_metric;
    IntSource() int_source;
    IntSink() int_sink;
    service_t service;

    action classify(bit<16> id, bit<2> policy, bit<8> compute_weight, bit<8> network_weight,
                    bit<32> total_weight, bit<48> load_ttl_us, bit<48> dead_after_us,
                    bit<48> affinity_timeout_us, bit<24> spread_us) {
        service = { id, policy, compute_weight, network_weight, total_weight, load_ttl_us, dead_after_us,
                    affinity_timeout_us, spread_us };
    }

    // The switch's own address: the source of its tunnels, where beacons go.
    action own_address() {}

    table services {
        key = { hdr.ipv6.dst: exact @name("address"); }
        actions = { classify; own_address; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 1024;
    }

    apply {
        bool learn = false;
        domain_edge.apply(hdr, meta, standard_metadata);
        if (meta.done == 1) {
            return;
        }
        if (standard_metadata.parser_error != error.NoError) {
            drop(standard_metadata, meta, DROP_PARSER);
        } else if (hdr.packet_out.isValid() && hdr.packet_out.egress_port != 0) {
            standard_metadata.egress_spec = hdr.packet_out.egress_port;
            meta.done = 1;
        } else if (hdr.neighbor.isValid()) {
            neighbor_discovery.apply(hdr, meta, standard_metadata);
        } else if (hdr.outer.isValid()) {
            meta.tunnelled = 1;
            meta.destination = hdr.outer.dst;
            segment_endpoint.apply(hdr, meta, standard_metadata);
        } else if (hdr.int_md.isValid()) {
            meta.destination = hdr.ipv6.dst;   // not to a service: those are steered before they are sampled
        } else if (hdr.ipv6.isValid()) {
            meta.destination = hdr.ipv6.dst;
            switch (services.apply().action_run) {
                classify: {
                    steering.apply(hdr, meta, standard_metadata, service);
                }
                own_address: {
                    if (hdr.metric.isValid() && hdr.metric.next_header == PROTO_UDP && hdr.ports.isValid()
                            && hdr.ports.dst == CATS_BEACON_PORT) {
                        mark_to_drop(standard_metadata);
                        meta.done = 1;
                        learn = true;
                    } else {
                        drop(standard_metadata, meta, DROP_LOCAL);
                    }
                }
            }
        } else {
            drop(standard_metadata, meta, DROP_NOT_IPV6);
        }

        if (meta.done == 0) {
            forwarding.apply(hdr, meta, standard_metadata);
            learn = meta.deliver == 1 && meta.done == 0 && hdr.metric.isValid();
            if (meta.watched == 1 && meta.done == 0 && meta.deliver == 0 &&
                    (meta.encapsulated == 1 || (meta.tunnelled == 0 && hdr.ports.isValid() &&
                                                hdr.ipv6.dst[127:112] != CATS_SR_BLOCK))) {
                int_source.apply(hdr, meta, standard_metadata);
            }
        }
        if (hdr.int_md.isValid() && !hdr.outer.isValid() && (meta.tunnelled == 1 || meta.deliver == 1)) {
            int_sink.apply(hdr, meta, standard_metadata);
        }
        if (learn) {
            learn_metric.apply(hdr, standard_metadata);
        }
        hdr.packet_out.setInvalid();
    }
}

control EdgeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    IntNode() int_node;
    IntReport() int_report;

    apply {
        if (hdr.int_md.isValid()) {
            if (standard_metadata.instance_type == INSTANCE_TYPE_CLONE) {
                bit<8> words = hdr.int_shim.length;
                meta.int_report = 1;
                int_node.apply(hdr, meta, standard_metadata);
                int_report.apply(hdr, meta, standard_metadata, (bit<32>)(hdr.int_shim.length - words) << 2);
            } else if (!hdr.packet_in.isValid()) {
                meta.int_ingress_port = standard_metadata.ingress_port;
                meta.int_egress_port = standard_metadata.egress_port;
                meta.int_ingress_time = standard_metadata.ingress_global_timestamp;
                int_node.apply(hdr, meta, standard_metadata);
            }
            // INT is emitted before hdr.ipv6, which in a tunnel is the inner header.
            if (!hdr.outer.isValid()) {
                hdr.outer = hdr.ipv6;
                hdr.ipv6.setInvalid();
                if (hdr.metric.isValid()) {
                    hdr.outer_metric = hdr.metric;
                    hdr.metric.setInvalid();
                }
            }
        }
    }
}

control EdgeCompute(inout headers_t hdr, inout metadata_t meta) {
    NeighborChecksum() neighbor_checksum;

    apply {
        neighbor_checksum.apply(hdr);
    }
}

control EdgeDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.report_ethernet);
        packet.emit(hdr.report_ipv6);
        packet.emit(hdr.report_udp);
        packet.emit(hdr.report);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.outer);
        packet.emit(hdr.srh);
        packet.emit(hdr.segments);
        packet.emit(hdr.outer_metric);
        packet.emit(hdr.int_udp);
        packet.emit(hdr.int_shim);
        packet.emit(hdr.int_md);
        packet.emit(hdr.int_node_id);
        packet.emit(hdr.int_interfaces);
        packet.emit(hdr.int_latency);
        packet.emit(hdr.int_queue);
        packet.emit(hdr.int_ingress_time);
        packet.emit(hdr.int_egress_time);
        packet.emit(hdr.int_level2);
        packet.emit(hdr.int_utilisation);
        packet.emit(hdr.int_buffer);
        packet.emit(hdr.int_checksum);
        packet.emit(hdr.int_decision);
        packet.emit(hdr.int_stack);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.metric);
        packet.emit(hdr.neighbor);
        packet.emit(hdr.link_layer);
        packet.emit(hdr.ports);
    }
}

V1Switch(EdgeParser(), EdgeVerify(), EdgeIngress(), EdgeEgress(), EdgeCompute(), EdgeDeparser()) main;
