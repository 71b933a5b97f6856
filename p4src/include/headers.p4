// SPDX-License-Identifier: Apache-2.0
// Headers and metadata that the edge forwarder and the transit switch share.
#ifndef CATS_HEADERS_P4
#define CATS_HEADERS_P4

typedef bit<48>  mac_t;
typedef bit<128> ipv6_t;
typedef bit<9>   port_t;
typedef bit<16>  instance_t;     // 0: none

const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<8>  PROTO_HOP_BY_HOP = 0;
const bit<8>  PROTO_TCP = 6;
const bit<8>  PROTO_UDP = 17;
const bit<8>  PROTO_IPV6 = 41;
const bit<8>  PROTO_ROUTING = 43;
const bit<8>  PROTO_ICMPV6 = 58;
const bit<8>  ICMPV6_NEIGHBOR_SOLICITATION = 135;
const bit<8>  ICMPV6_NEIGHBOR_ADVERTISEMENT = 136;
const bit<8>  ROUTING_TYPE_SRH = 4;
const bit<16> IPV6_HEADER_BYTES = 40;

const port_t  CPU_PORT = 510;
const bit<8>  INT_FIELDS = 1;       // field list of the sink's clone

// Why a packet goes to the controller (packet_in.reason).
const bit<8> PUNT_HOP_LIMIT = 1;    // answer with ICMPv6 Time Exceeded
const bit<8> PUNT_TOO_BIG = 2;      // answer with ICMPv6 Packet Too Big, MTU in packet_in.mtu

// Index of the counter `drops`.
const bit<32> DROP_NOT_IPV6 = 0;
const bit<32> DROP_MULTICAST = 1;
const bit<32> DROP_NO_ROUTE = 2;
const bit<32> DROP_NO_INSTANCE = 3;   // a service without any candidate
const bit<32> DROP_BAD_SEGMENT = 4;   // RFC 8986, 4.1 and 4.10: not for this SID, or malformed
const bit<32> DROP_LOCAL = 5;         // addressed to the forwarder itself, not a beacon
const bit<32> DROP_NEIGHBOR = 6;      // a neighbour solicitation for an address that is not ours
const bit<32> DROP_PARSER = 7;        // truncated headers
const bit<32> DROP_DOMAIN_EDGE = 8;   // from a host to a switch, not a beacon; or in-band telemetry of a host
const bit<32> DROP_REASONS = 9;

@controller_header("packet_in")
header packet_in_t {
    bit<7>  _pad;
    port_t  ingress_port;
    bit<8>  reason;
    bit<16> mtu;
}

// egress_port 0: process like any other packet.
@controller_header("packet_out")
header packet_out_t {
    bit<7> _pad;
    port_t egress_port;
}

header ethernet_t {
    mac_t   dst;
    mac_t   src;
    bit<16> ethertype;
}

header ipv6_header_t {
    bit<4>  version;
    bit<8>  traffic_class;
    bit<20> flow_label;
    bit<16> payload_length;
    bit<8>  next_header;
    bit<8>  hop_limit;
    ipv6_t  src;
    ipv6_t  dst;
}

// Segment Routing Header (RFC 8754, 2), without its segments.
header srh_t {
    bit<8>  next_header;
    bit<8>  ext_length;
    bit<8>  routing_type;
    bit<8>  segments_left;
    bit<8>  last_entry;
    bit<8>  flags;
    bit<16> tag;
}

header segment_t {
    ipv6_t sid;
}

// Hop-by-Hop header that holds the CATS metric option alone (docs/protocol.md).
header metric_t {
    bit<8>  next_header;
    bit<8>  ext_length;
    bit<8>  option_type;
    bit<8>  option_length;
    bit<16> magic;
    bit<4>  version;
    bit<4>  flags;
    bit<8>  key_id;
    bit<32> instance;
    bit<8>  norm_fi;
    bit<8>  compute;
    bit<8>  communication;
    bit<8>  service;
    bit<8>  composed;
    bit<8>  reserved;
    bit<16> in_flight;
    bit<32> expected_wait_us;
    bit<32> power_mw;
    bit<32> sequence;
    bit<64> mac;
}

// Neighbour solicitation and advertisement (RFC 4861, 4.3 and 4.4).
header neighbor_t {
    bit<8>  type;
    bit<8>  code;
    bit<16> checksum;
    bit<32> flags;
    ipv6_t  target;
}

// Source or target link-layer address option (RFC 4861, 4.6.1).
header link_layer_t {
    bit<8> type;
    bit<8> length;
    mac_t  address;
}

// What TCP and UDP have in common.
header ports_t {
    bit<16> src;
    bit<16> dst;
}

// UDP header of in-band telemetry, and of telemetry reports.
header udp_t {
    bit<16> src;
    bit<16> dst;
    bit<16> length;
    bit<16> checksum;
}

// INT shim for TCP and UDP (INT 2.1, 5.5).
header int_shim_t {
    bit<4> type;
    bit<2> npt;
    bit<2> reserved;
    bit<8> length;              // words of 4 octets of MD header and stack
    bit<8> reserved2;
    bit<8> protocol;            // of what follows the stack
}

// INT-MD metadata header (INT 2.1, 5.7).
header int_md_t {
    bit<4>  version;
    bit<1>  discard;
    bit<1>  exceeded;
    bit<1>  mtu_exceeded;
    bit<12> reserved;
    bit<5>  hop_words;
    bit<8>  remaining_hops;
    bit<16> instructions;
    bit<16> domain;
    bit<16> domain_instructions;
    bit<16> domain_flags;
}

// What one node adds, by the bits of the instruction bitmap.
header int_node_id_t {
    bit<32> node_id;
}

header int_interfaces_t {
    bit<16> ingress_port;
    bit<16> egress_port;
}

header int_latency_t {
    bit<32> hop_latency;        // microseconds
}

header int_queue_t {
    bit<8>  queue_id;
    bit<24> queue_occupancy;    // packets
}

header int_ingress_time_t {
    bit<64> ingress_timestamp;  // microseconds
}

header int_egress_time_t {
    bit<64> egress_timestamp;   // microseconds
}

header int_level2_t {
    bit<32> ingress_port;
    bit<32> egress_port;
}

// Of what no target of ours knows.
header int_word_t {
    bit<32> value;
}

// Why a steered packet goes where it goes, by its source.
header int_decision_t {
    instance_t instance;
    bit<8>     policy;
    bit<8>     placed;
    bit<32>    expected_wait_us;
    bit<32>    age_us;
}

// Data of the nodes before: up to 252 words.
header int_stack_t {
    varbit<8064> data;
}

// Telemetry report 2.0: group header, header of one individual report, its main contents for INT.
header report_t {
    bit<4>  version;
    bit<6>  hw_id;
    bit<22> sequence;
    bit<32> node_id;
    bit<4>  rep_type;
    bit<4>  in_type;
    bit<8>  report_length;      // words of 4 octets behind this one; 255: or more
    bit<8>  md_length;
    bit<1>  dropped;
    bit<1>  congested;
    bit<1>  tracked;
    bit<1>  intermediate;
    bit<4>  reserved;
    bit<16> rep_md_bits;
    bit<16> domain;
    bit<16> ds_md_bits;
    bit<16> ds_md_status;
}

struct headers_t {
    packet_in_t   packet_in;
    packet_out_t  packet_out;
    ethernet_t    report_ethernet;
    ipv6_header_t report_ipv6;
    udp_t         report_udp;
    report_t      report;
    ethernet_t    ethernet;
    ipv6_header_t outer;        // of an SRv6 tunnel; at the end of egress any that INT follows
    srh_t         srh;
    segment_t[4]  segments;
    metric_t      outer_metric; // at the end of egress: one that INT follows
    udp_t              int_udp;
    int_shim_t         int_shim;
    int_md_t           int_md;
    int_node_id_t      int_node_id;
    int_interfaces_t   int_interfaces;
    int_latency_t      int_latency;
    int_queue_t        int_queue;
    int_ingress_time_t int_ingress_time;
    int_egress_time_t  int_egress_time;
    int_level2_t       int_level2;
    int_word_t         int_utilisation;
    int_word_t         int_buffer;
    int_word_t         int_checksum;
    int_decision_t     int_decision;
    int_stack_t        int_stack;
    ipv6_header_t ipv6;         // the client's or the server's
    metric_t      metric;
    neighbor_t    neighbor;
    link_layer_t  link_layer;
    ports_t       ports;
}

struct metadata_t {
    ipv6_t     destination;     // by which the packet is routed: of the outermost IPv6 header
    bit<1>     done;            // egress_spec is final
    bit<1>     deliver;         // the next hop is the destination host itself
    bit<1>     encapsulated;    // by this switch
    bit<1>     tcp;
    bit<1>     syn;             // a TCP segment that opens a connection
    bit<1>     tunnelled;       // it came in a tunnel
    bit<1>     from_host;       // it enters the domain here
    bit<1>     watched;         // the INT watchlist is to be asked
    bit<16>    mtu;             // of the link that the packet leaves by
    instance_t instance;        // that the packet is steered to here; 0: it is not
    // In-band telemetry.
    bit<1>     int_report;      // this is the sink's clone
    instance_t int_instance;    // of the decision that the source appends; 0: none
    bit<8>     int_policy;      // CATS_POLICY_*
    bit<8>     int_placed;      // 1: by this packet
    bit<32>    int_wait_us;     // that was known of the instance
    bit<32>    int_age_us;      // since that was learned
    @field_list(INT_FIELDS)
    bit<32>    int_length;      // of the frame as the sink received it
    @field_list(INT_FIELDS)
    port_t     int_ingress_port;
    @field_list(INT_FIELDS)
    port_t     int_egress_port;
    @field_list(INT_FIELDS)
    bit<48>    int_ingress_time;
}


#endif
