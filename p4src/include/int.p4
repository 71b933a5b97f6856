// SPDX-License-Identifier: Apache-2.0
// In-band network telemetry, INT-MD v2.1: parsing and what every node adds (docs/protocol.md, 7).
//
//   source    ingress  IntSource   headers without data        where sampled packets enter the domain
//   node      egress   IntNode     its own data, on top of the stack
//   sink      ingress  IntSink     takes all of it off          where packets leave the domain
//   report    egress   IntReport   on the sink's clone          to the collector
#ifndef CATS_INT_P4
#define CATS_INT_P4

#include "cats_protocol.h"
#include "headers.p4"

const bit<4>  INT_TYPE_MD = 1;
const bit<2>  INT_NPT_ANOTHER_HEADER = 2;
const bit<4>  INT_VERSION = 2;
const bit<8>  INT_MD_WORDS = 3;
const bit<32> INT_UNKNOWN = 0xffffffff;
const bit<16> INT_KNOWN_INSTRUCTIONS = 0xff81;
const bit<8>  INT_DECISION_WORDS = 3;
const bit<16> INT_DECISION = 0x8000;          // in domain_instructions

error { NotInt }

// UDP header, shim and MD header; the stack is next.
parser IntParser(packet_in packet, inout headers_t hdr) {
    state start {
        packet.extract(hdr.int_udp);
        packet.extract(hdr.int_shim);
        verify(hdr.int_udp.dst == CATS_INT_PORT && hdr.int_shim.type == INT_TYPE_MD &&
               hdr.int_shim.npt == INT_NPT_ANOTHER_HEADER && hdr.int_shim.length >= INT_MD_WORDS, error.NotInt);
        packet.extract(hdr.int_md);
        transition accept;
    }
}

// Octets that INT adds to a packet that has it.
bit<16> int_bytes(in headers_t hdr) {
    return 12 + ((bit<16>)hdr.int_shim.length << 2);
}

// Words that a node adds by an instruction bitmap.
bit<8> int_words(in bit<16> instructions) {
    return (bit<8>)instructions[15:15] + (bit<8>)instructions[14:14] + (bit<8>)instructions[13:13] +
        (bit<8>)instructions[12:12] + ((bit<8>)instructions[11:11] << 1) + ((bit<8>)instructions[10:10] << 1) +
        ((bit<8>)instructions[9:9] << 1) + (bit<8>)instructions[8:8] + (bit<8>)instructions[7:7] +
        (bit<8>)instructions[0:0];
}

// Everything behind the IPv6 header has grown.
action int_grow(inout headers_t hdr, in bit<16> octets) {
    hdr.int_udp.length = hdr.int_udp.length + octets;
    if (hdr.outer.isValid()) {
        hdr.outer.payload_length = hdr.outer.payload_length + octets;
    } else {
        hdr.ipv6.payload_length = hdr.ipv6.payload_length + octets;
    }
}

// Length of the packet from its first IPv6 header on.
bit<16> ipv6_bytes(in headers_t hdr) {
    bit<16> length = hdr.ipv6.payload_length;
    if (hdr.outer.isValid()) {
        length = hdr.outer.payload_length;
    }
    return length |+| IPV6_HEADER_BYTES;
}

// Data of a node on top of the stack, all of it or none (INT 2.1, 5.1). A clone pushes for the switch that
// made it: meta.int_ingress_port, meta.int_egress_port and meta.int_ingress_time.
control IntNode(inout headers_t hdr, inout metadata_t meta, in standard_metadata_t standard_metadata) {
    bit<32> id = 0;
    bit<16> mtu = 0;

    // domain_mtu: the smallest of all links between switches, so that no switch on the way finds the packet too big.
    action node(bit<32> node_id, bit<16> domain_mtu) {
        id = node_id;
        mtu = domain_mtu;
    }

    table int_nodes {
        key = { hdr.int_md.version: exact @name("version"); }
        actions = { node; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 1;
    }

    action push() {
        bit<16> instructions = hdr.int_md.instructions;
        if (instructions[15:15] == 1) {
            hdr.int_node_id.setValid();
            hdr.int_node_id.node_id = id;
        }
        if (instructions[14:14] == 1) {
            hdr.int_interfaces.setValid();
            hdr.int_interfaces.ingress_port = (bit<16>)meta.int_ingress_port;
            hdr.int_interfaces.egress_port = (bit<16>)meta.int_egress_port;
        }
        if (instructions[13:13] == 1) {
            hdr.int_latency.setValid();
            hdr.int_latency.hop_latency =
                (bit<32>)(standard_metadata.egress_global_timestamp - meta.int_ingress_time);
        }
        if (instructions[12:12] == 1) {
            hdr.int_queue.setValid();
            hdr.int_queue.queue_id = 0;
            hdr.int_queue.queue_occupancy = (bit<24>)standard_metadata.deq_qdepth;
        }
        if (instructions[11:11] == 1) {
            hdr.int_ingress_time.setValid();
            hdr.int_ingress_time.ingress_timestamp = (bit<64>)meta.int_ingress_time;
        }
        if (instructions[10:10] == 1) {
            hdr.int_egress_time.setValid();
            hdr.int_egress_time.egress_timestamp = (bit<64>)standard_metadata.egress_global_timestamp;
        }
        if (instructions[9:9] == 1) {
            hdr.int_level2.setValid();
            hdr.int_level2.ingress_port = (bit<32>)meta.int_ingress_port;
            hdr.int_level2.egress_port = (bit<32>)meta.int_egress_port;
        }
        if (instructions[8:8] == 1) {
            hdr.int_utilisation.setValid();
            hdr.int_utilisation.value = INT_UNKNOWN;
        }
        if (instructions[7:7] == 1) {
            hdr.int_buffer.setValid();
            hdr.int_buffer.value = INT_UNKNOWN;
        }
        if (instructions[0:0] == 1) {
            hdr.int_checksum.setValid();
            hdr.int_checksum.value = INT_UNKNOWN;
        }
        hdr.int_md.remaining_hops = hdr.int_md.remaining_hops - 1;
    }

    // Announced only where it is there: a stack whose source found no room has none.
    action push_decision() {
        hdr.int_md.domain = CATS_INT_DOMAIN;
        hdr.int_md.domain_instructions = INT_DECISION;
        hdr.int_decision.setValid();
        hdr.int_decision.instance = meta.int_instance;
        hdr.int_decision.policy = meta.int_policy;
        hdr.int_decision.placed = meta.int_placed;
        hdr.int_decision.expected_wait_us = meta.int_wait_us;
        hdr.int_decision.age_us = meta.int_age_us;
    }

    apply {
        if (int_nodes.apply().hit) {
            bit<16> instructions = hdr.int_md.instructions;
            bit<8> hop_words = int_words(instructions);
            bit<8> words = hop_words;
            if (meta.int_instance != 0) {
                words = words + INT_DECISION_WORDS;
            }
            bit<16> octets = (bit<16>)words << 2;
            if (hdr.int_md.remaining_hops == 0) {
                hdr.int_md.exceeded = 1;
            } else if (instructions & INT_KNOWN_INSTRUCTIONS == instructions &&
                       hop_words == (bit<8>)hdr.int_md.hop_words) {
                bit<16> after = ipv6_bytes(hdr) |+| octets;
                if ((after > mtu && meta.int_report == 0) || hdr.int_shim.length |+| words == 255) {
                    hdr.int_md.mtu_exceeded = 1;
                } else {
                    push();
                    if (meta.int_instance != 0) {
                        push_decision();
                    }
                    hdr.int_shim.length = hdr.int_shim.length + words;
                    int_grow(hdr, octets);
                }
            }
        }
    }
}

#endif
