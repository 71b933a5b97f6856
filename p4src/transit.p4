// SPDX-License-Identifier: Apache-2.0
// Transit switch: routes IPv6, and is an SRv6 segment endpoint (End) for paths that avoid the shortest way.
#include <core.p4>
#include <v1model.p4>

#include "include/cats_protocol.h"
#include "include/headers.p4"
#include "include/int.p4"
#include "include/forwarding.p4"
#include "include/srv6.p4"

parser TransitParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
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
            PROTO_ROUTING: parse_outer;
            default: parse_ipv6;
        }
    }

    state parse_outer {
        packet.extract(hdr.outer);
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
            PROTO_UDP: parse_int;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        transition select(hdr.ipv6.next_header) {
            PROTO_UDP: parse_udp;
            PROTO_HOP_BY_HOP: parse_hop_by_hop;
            default: accept;
        }
    }

    state parse_hop_by_hop {
        bit<32> begin = packet.lookahead<bit<32>>();
        transition select(begin) {
            PROTO_UDP ++ (bit<8>)CATS_HBH_EXT_LENGTH ++ (bit<8>)CATS_OPTION_TYPE ++ (bit<8>)CATS_OPTION_LENGTH:
                parse_metric;
            default: accept;
        }
    }

    state parse_metric {
        packet.extract(hdr.metric);
        transition parse_udp;
    }

    // INT has checksum 0, which no UDP over IPv6 has otherwise (RFC 8200, 8.1).
    state parse_udp {
        bit<32> ports = packet.lookahead<bit<32>>();
        transition select(ports[15:0]) {
            CATS_INT_PORT: parse_udp_to_int_port;
            default: accept;
        }
    }

    state parse_udp_to_int_port {
        bit<64> begin = packet.lookahead<bit<64>>();
        transition select(begin[15:0]) {
            0: parse_int;
            default: accept;
        }
    }

    state parse_int {
        int_parser.apply(packet, hdr);
        transition accept;
    }
}

control TransitVerify(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control TransitIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    SegmentEndpoint() segment_endpoint;
    Forwarding() forwarding;

    apply {
        if (standard_metadata.parser_error != error.NoError) {
            drop(standard_metadata, meta, DROP_PARSER);
        } else if (hdr.packet_out.isValid() && hdr.packet_out.egress_port != 0) {
            standard_metadata.egress_spec = hdr.packet_out.egress_port;
            meta.done = 1;
        } else if (hdr.outer.isValid()) {
            meta.destination = hdr.outer.dst;
            segment_endpoint.apply(hdr, meta, standard_metadata);
        } else if (hdr.ipv6.isValid()) {
            meta.destination = hdr.ipv6.dst;
        } else {
            drop(standard_metadata, meta, DROP_NOT_IPV6);
        }
        if (meta.done == 0) {
            forwarding.apply(hdr, meta, standard_metadata);
        }
        hdr.packet_out.setInvalid();
    }
}

control TransitEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    IntNode() int_node;

    apply {
        if (hdr.int_md.isValid() && !hdr.packet_in.isValid()) {
            meta.int_ingress_port = standard_metadata.ingress_port;
            meta.int_egress_port = standard_metadata.egress_port;
            meta.int_ingress_time = standard_metadata.ingress_global_timestamp;
            int_node.apply(hdr, meta, standard_metadata);
        }
    }
}

control TransitCompute(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control TransitDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.outer);
        packet.emit(hdr.srh);
        packet.emit(hdr.segments);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.metric);
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
    }
}

V1Switch(TransitParser(), TransitVerify(), TransitIngress(), TransitEgress(), TransitCompute(),
         TransitDeparser()) main;
