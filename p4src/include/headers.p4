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

struct headers_t {
    packet_in_t   packet_in;
    packet_out_t  packet_out;
    ethernet_t    ethernet;
    ipv6_header_t outer;        // of an SRv6 tunnel
    srh_t         srh;
    segment_t[4]  segments;
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
    bit<1>     from_host;       // it enters the domain here
    bit<16>    mtu;             // of the link that the packet leaves by
}

#endif
