// SPDX-License-Identifier: Apache-2.0
// Transit switch: routes IPv6, and is an SRv6 segment endpoint (End) for paths that avoid the shortest way.
#include <core.p4>
#include <v1model.p4>

#include "include/headers.p4"
#include "include/forwarding.p4"
#include "include/srv6.p4"

parser TransitParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                     inout standard_metadata_t standard_metadata) {
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
        transition accept;
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
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
    apply {}
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
    }
}

V1Switch(TransitParser(), TransitVerify(), TransitIngress(), TransitEgress(), TransitCompute(),
         TransitDeparser()) main;
