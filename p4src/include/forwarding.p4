// SPDX-License-Identifier: Apache-2.0
// IPv6 forwarding: longest prefix match, hop limit, MTU; packets that need an ICMPv6 error go to the
// controller, which writes it (an error quotes the packet and its checksum covers the quotation).
#ifndef CATS_FORWARDING_P4
#define CATS_FORWARDING_P4

#include "headers.p4"
#include "int.p4"

counter(DROP_REASONS, CounterType.packets) drops;

// Drop for a reason of headers.p4.
action drop(inout standard_metadata_t standard_metadata, inout metadata_t meta, in bit<32> reason) {
    drops.count(reason);
    mark_to_drop(standard_metadata);
    meta.done = 1;
}

// Hand the packet to the controller as it came, without a tunnel that this switch has put on.
action punt(inout headers_t hdr, inout standard_metadata_t standard_metadata, inout metadata_t meta,
            in bit<8> reason, in bit<16> mtu) {
    hdr.packet_in.setValid();
    hdr.packet_in._pad = 0;
    hdr.packet_in.ingress_port = standard_metadata.ingress_port;
    hdr.packet_in.reason = reason;
    hdr.packet_in.mtu = mtu;
    standard_metadata.egress_spec = CPU_PORT;
    meta.done = 1;
}

// Routes `meta.destination`. Sets meta.done, meta.deliver and meta.mtu.
control Forwarding(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    direct_counter(CounterType.packets_and_bytes) route_packets;

    action send(port_t port, mac_t source, mac_t neighbor, bit<16> mtu) {
        standard_metadata.egress_spec = port;
        hdr.ethernet.src = source;
        hdr.ethernet.dst = neighbor;
        meta.mtu = mtu;
    }

    // To another switch.
    action forward(port_t port, mac_t source, mac_t neighbor, bit<16> mtu) {
        route_packets.count();
        send(port, source, neighbor, mtu);
    }

    // To an attached host.
    action deliver(port_t port, mac_t source, mac_t neighbor, bit<16> mtu) {
        route_packets.count();
        send(port, source, neighbor, mtu);
        meta.deliver = 1;
    }

    action no_route() {
        route_packets.count();
        drop(standard_metadata, meta, DROP_NO_ROUTE);
    }

    table routes {
        key = { meta.destination: lpm @name("destination"); }
        actions = { forward; deliver; @defaultonly no_route; }
        const default_action = no_route;
        counters = route_packets;
        size = 4096;
    }

    apply {
        if (meta.destination[127:120] == 0xff) {
            drop(standard_metadata, meta, DROP_MULTICAST);
        } else {
            routes.apply();
        }
        if (meta.done == 0) {
            bit<8> hop_limit = hdr.ipv6.hop_limit;
            bit<16> length = hdr.ipv6.payload_length;
            if (hdr.outer.isValid()) {
                length = hdr.outer.payload_length;
                if (meta.encapsulated == 0) {
                    hop_limit = hdr.outer.hop_limit;
                }
            }
            if (meta.deliver == 1 && hdr.int_shim.isValid()) {
                length = length - int_bytes(hdr);   // the sink takes it off
            }
            // A packet that the controller wrote is not on its way yet.
            bool forwarded = !hdr.packet_out.isValid();
            if (forwarded && hop_limit <= 1) {
                punt(hdr, standard_metadata, meta, PUNT_HOP_LIMIT, 0);
            } else if (length |+| IPV6_HEADER_BYTES > meta.mtu) {
                bit<16> mtu = meta.mtu;
                if (meta.encapsulated == 1) {
                    mtu = mtu - (hdr.outer.payload_length - hdr.ipv6.payload_length);
                }
                punt(hdr, standard_metadata, meta, PUNT_TOO_BIG, mtu);
            } else if (forwarded) {
                if (hdr.outer.isValid() && meta.encapsulated == 0) {
                    hdr.outer.hop_limit = hdr.outer.hop_limit - 1;
                } else {
                    hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
                }
            }
            if (hdr.packet_in.isValid() && meta.encapsulated == 1) {
                hdr.outer.setInvalid();
                hdr.srh.setInvalid();
                hdr.segments[0].setInvalid();
            }
        }
    }
}

#endif
