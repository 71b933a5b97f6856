// SPDX-License-Identifier: Apache-2.0
// The edge of the limited domain (RFC 8799): what hosts may not send into it (docs/protocol.md, 2).
#ifndef CATS_DOMAIN_P4
#define CATS_DOMAIN_P4

#include "cats_protocol.h"
#include "headers.p4"
#include "forwarding.p4"

// Sets meta.from_host; drops in-band telemetry of hosts, and what they send to switches, but for beacons.
control DomainEdge(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    // The port leads out of the domain. watched: the INT watchlist is not empty.
    action host_port(bit<1> watched) {
        meta.from_host = 1;
        meta.watched = watched;
    }

    table host_ports {
        key = { standard_metadata.ingress_port: exact @name("port"); }
        actions = { host_port; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 512;
    }

    apply {
        if (host_ports.apply().hit) {
            bool refused = hdr.int_udp.isValid();
            if (hdr.outer.isValid()) {
                refused = refused || hdr.outer.dst[127:112] == CATS_SR_BLOCK;
            } else if (hdr.ipv6.isValid() && hdr.ipv6.dst[127:112] == CATS_SR_BLOCK) {
                // A router address is ::1 of a locator.
                refused = refused || !(hdr.metric.isValid() && hdr.metric.next_header == PROTO_UDP &&
                                       hdr.ports.isValid() && hdr.ports.dst == CATS_BEACON_PORT &&
                                       hdr.ipv6.dst[79:0] == 1);
            }
            if (refused) {
                drop(standard_metadata, meta, DROP_DOMAIN_EDGE);
            }
        }
    }
}

#endif
