// SPDX-License-Identifier: Apache-2.0
// Source and sink of in-band network telemetry, and the sink's reports (docs/protocol.md, 7).
#ifndef CATS_INT_EDGE_P4
#define CATS_INT_EDGE_P4

#include "cats_protocol.h"
#include "headers.p4"
#include "int.p4"
#include "metrics.p4"

const bit<32> REPORT_SESSION = 1;
const bit<32> REPORT_FRAME_BYTES = 512;       // of the frame that is reported, or all of its headers
const bit<16> REPORT_HEADER_BYTES = 28;       // UDP header and report_t
const bit<8>  REPORT_HOP_LIMIT = 64;
const bit<32> INSTANCE_TYPE_CLONE = 1;        // by clone I2E
const bit<16> INT_FIXED_BYTES = 24;           // UDP header, shim, MD header

// Reports that this switch has sent.
register<bit<32>>(1) int_reports;

// Puts the headers on, without data, if the watchlist says so and the MTU allows. For packets that enter the
// domain here and leave by another switch.
control IntSource(inout headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<8> protocol;
    bit<16> source_port = 0;
    bit<16> destination_port = 0;
    bit<32> hash_of_flow;
    bit<16> draw;

    action describe() {
        meta.int_instance = meta.instance;
        load_wait_us.read(meta.int_wait_us, (bit<32>)meta.instance);
        bit<48> time;
        load_time_us.read(time, (bit<32>)meta.instance);
        bit<48> age = standard_metadata.ingress_global_timestamp - time;
        meta.int_age_us = age[31:0];
        if (age[47:47] == 1) {
            meta.int_age_us = 0;              // another processor has learned it since this packet came in
        } else if (age[46:32] != 0) {
            meta.int_age_us = INT_UNKNOWN - 1;
        }
        if (time == 0) {
            meta.int_wait_us = INT_UNKNOWN;
            meta.int_age_us = INT_UNKNOWN;
        }
    }

    // Takes `protocol` for UDP, in the header that INT follows.
    action insert(bit<16> instructions, bit<8> hops, bit<1> decision) {
        bit<16> rest = hdr.ipv6.payload_length;
        if (hdr.srh.isValid()) {
            rest = hdr.outer.payload_length - 24;   // steered by way of one segment
            protocol = hdr.srh.next_header;
            hdr.srh.next_header = PROTO_UDP;
        } else if (hdr.outer.isValid()) {
            rest = hdr.outer.payload_length;
            protocol = hdr.outer.next_header;
            hdr.outer.next_header = PROTO_UDP;
        } else if (hdr.metric.isValid()) {
            rest = rest - CATS_HBH_BYTES;
            hdr.metric.next_header = PROTO_UDP;
        } else {
            hdr.ipv6.next_header = PROTO_UDP;
        }
        hdr.int_udp.setValid();
        hdr.int_udp.src = 2w3 ++ hash_of_flow[29:16];
        hdr.int_udp.dst = CATS_INT_PORT;
        hdr.int_udp.length = rest;
        hdr.int_udp.checksum = 0;
        hdr.int_shim.setValid();
        hdr.int_shim.type = INT_TYPE_MD;
        hdr.int_shim.npt = INT_NPT_ANOTHER_HEADER;
        hdr.int_shim.reserved = 0;
        hdr.int_shim.length = INT_MD_WORDS;
        hdr.int_shim.reserved2 = 0;
        hdr.int_shim.protocol = protocol;
        hdr.int_md.setValid();
        hdr.int_md.version = INT_VERSION;
        hdr.int_md.discard = 0;
        hdr.int_md.exceeded = 0;
        hdr.int_md.mtu_exceeded = 0;
        hdr.int_md.reserved = 0;
        hdr.int_md.hop_words = (bit<5>)int_words(instructions);
        hdr.int_md.remaining_hops = hops;
        hdr.int_md.instructions = instructions;
        hdr.int_md.domain = 0;
        hdr.int_md.domain_instructions = 0;
        hdr.int_md.domain_flags = 0;
        if (decision == 1 && meta.instance != 0) {
            describe();
        }
        int_grow(hdr, INT_FIXED_BYTES);
    }

    // flow_limit, packet_limit: a flow, a packet is sampled if its number of 16 bits is not above it.
    action sample(bit<16> instructions, bit<1> decision, bit<8> hops, bit<16> flow_limit, bit<16> packet_limit,
                  bit<16> domain_mtu) {
        bool fits = ipv6_bytes(hdr) |+| INT_FIXED_BYTES <= domain_mtu;
        if (fits && hash_of_flow[15:0] <= flow_limit && draw <= packet_limit) {
            insert(instructions, hops, decision);
        }
    }

    table int_watchlist {
        key = {
            hdr.ipv6.src: ternary @name("source");
            hdr.ipv6.dst: ternary @name("destination");
            protocol: ternary @name("protocol");
            source_port: ternary @name("source_port");
            destination_port: ternary @name("destination_port");
        }
        actions = { sample; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 64;
    }

    apply {
        protocol = hdr.ipv6.next_header;
        if (hdr.metric.isValid()) {
            protocol = hdr.metric.next_header;
        }
        if (hdr.ports.isValid()) {
            source_port = hdr.ports.src;
            destination_port = hdr.ports.dst;
        }
        hash(hash_of_flow, HashAlgorithm.crc32, 32w0,
             { hdr.ipv6.src, hdr.ipv6.dst, protocol, source_port, destination_port }, 33w0x100000000);
        random(draw, 16w0, 16w0xffff);
        int_watchlist.apply();
    }
}

// Takes INT off a packet that leaves the domain here, after its tunnel if it had one, and has it reported. A
// packet that goes to the controller instead is not reported.
control IntSink(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    apply {
        bool delivered = !hdr.packet_in.isValid();
        if (meta.tunnelled == 0) {
            hdr.ipv6.payload_length = hdr.ipv6.payload_length - int_bytes(hdr);
            if (hdr.metric.isValid()) {
                hdr.metric.next_header = hdr.int_shim.protocol;
            } else {
                hdr.ipv6.next_header = hdr.int_shim.protocol;
            }
        }
        if (delivered) {
            meta.int_length = standard_metadata.packet_length;
            if (hdr.packet_out.isValid()) {
                meta.int_length = meta.int_length - 2;
            }
            meta.int_ingress_port = standard_metadata.ingress_port;
            meta.int_egress_port = standard_metadata.egress_spec;
            meta.int_ingress_time = standard_metadata.ingress_global_timestamp;
            clone_preserving_field_list(CloneType.I2E, REPORT_SESSION, INT_FIELDS);
            // Of another version nothing is reported.
            if (hdr.int_md.discard == 1 && hdr.int_md.version == INT_VERSION) {
                mark_to_drop(standard_metadata);
            }
        }
        hdr.int_udp.setInvalid();
        hdr.int_shim.setInvalid();
        hdr.int_md.setInvalid();
        hdr.int_stack.setInvalid();
    }
}

// Makes a report of the sink's clone, which has the sink's own data on the stack: `pushed` octets.
control IntReport(inout headers_t hdr, in metadata_t meta, inout standard_metadata_t standard_metadata,
                  in bit<32> pushed) {
    action report(mac_t source, mac_t neighbor, ipv6_t router, ipv6_t collector, bit<32> node_id) {
        hdr.report_ethernet.setValid();
        hdr.report_ethernet.dst = neighbor;
        hdr.report_ethernet.src = source;
        hdr.report_ethernet.ethertype = ETHERTYPE_IPV6;
        hdr.report_ipv6.setValid();
        hdr.report_ipv6.version = 6;
        hdr.report_ipv6.traffic_class = 0;
        hdr.report_ipv6.flow_label = 0;
        hdr.report_ipv6.next_header = PROTO_UDP;
        hdr.report_ipv6.hop_limit = REPORT_HOP_LIMIT;
        hdr.report_ipv6.src = router;
        hdr.report_ipv6.dst = collector;
        hdr.report_udp.setValid();
        hdr.report_udp.src = CATS_REPORT_PORT;
        hdr.report_udp.dst = CATS_REPORT_PORT;
        hdr.report_udp.checksum = 0;
        hdr.report.setValid();
        hdr.report.version = 2;
        hdr.report.hw_id = 0;
        hdr.report.node_id = node_id;
        hdr.report.rep_type = 1;
        hdr.report.in_type = 3;
        hdr.report.md_length = 0;
        hdr.report.dropped = 0;
        hdr.report.congested = 0;
        hdr.report.tracked = 1;
        hdr.report.intermediate = 0;
        hdr.report.reserved = 0;
        hdr.report.rep_md_bits = 0;
        hdr.report.domain = 0;
        hdr.report.ds_md_bits = 0;
        hdr.report.ds_md_status = 0;
    }

    table int_collector {
        key = { hdr.int_md.version: exact @name("version"); }
        actions = { report; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 1;
    }

    apply {
        if (int_collector.apply().hit) {
            bit<32> sequence;
            @atomic {
                int_reports.read(sequence, 0);
                int_reports.write(0, sequence + 1);
            }
            hdr.report.sequence = sequence[21:0];
            // Ethernet, IPv6 and all that the parser took apart: what is left is cut.
            bit<32> headers = 54 + (bit<32>)int_bytes(hdr);
            if (hdr.srh.isValid()) {
                headers = headers + 8 + ((bit<32>)hdr.srh.ext_length << 3);
            }
            if (hdr.outer.isValid() && hdr.ipv6.isValid()) {
                headers = headers + 40;
            }
            if (hdr.metric.isValid()) {
                headers = headers + CATS_HBH_BYTES;
            }
            if (hdr.ports.isValid()) {
                headers = headers + 4;
            }
            bit<32> frame = meta.int_length + pushed;
            if (frame > REPORT_FRAME_BYTES) {
                bit<32> kept = REPORT_FRAME_BYTES |-| headers;
                truncate(kept);
                frame = headers + kept;
            }
            bit<16> length = REPORT_HEADER_BYTES + (bit<16>)frame;
            hdr.report_udp.length = length;
            hdr.report_ipv6.payload_length = length;
            bit<32> words = ((frame + 3) >> 2) + 2;
            hdr.report.report_length = (bit<8>)words;
            if (words > 255) {
                hdr.report.report_length = 255;
            }
        } else {
            mark_to_drop(standard_metadata);
        }
    }
}

#endif
