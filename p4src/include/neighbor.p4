// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery (RFC 4861): the switch answers solicitations for its own addresses.
#ifndef CATS_NEIGHBOR_P4
#define CATS_NEIGHBOR_P4

#include "headers.p4"
#include "forwarding.p4"

const bit<32> ADVERTISEMENT_FLAGS = 0xe0000000;   // router, solicited, override

control NeighborDiscovery(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    action advertise(mac_t mac) {
        hdr.ethernet.dst = hdr.ethernet.src;
        hdr.ethernet.src = mac;
        hdr.ipv6.dst = hdr.ipv6.src;
        hdr.ipv6.src = hdr.neighbor.target;
        hdr.ipv6.hop_limit = 255;
        hdr.ipv6.payload_length = 32;
        hdr.neighbor.type = ICMPV6_NEIGHBOR_ADVERTISEMENT;
        hdr.neighbor.flags = ADVERTISEMENT_FLAGS;
        hdr.link_layer.setValid();
        hdr.link_layer.type = 2;
        hdr.link_layer.length = 1;
        hdr.link_layer.address = mac;
        standard_metadata.egress_spec = standard_metadata.ingress_port;
        meta.done = 1;
    }

    action not_ours() {
        drop(standard_metadata, meta, DROP_NEIGHBOR);
    }

    table addresses {
        key = {
            standard_metadata.ingress_port: exact @name("port");
            hdr.neighbor.target: exact @name("target");
        }
        actions = { advertise; @defaultonly not_ours; }
        const default_action = not_ours;
        size = 1024;
    }

    apply {
        // RFC 4861, 7.1.1: hop limit 255; a solicitation from :: is duplicate address detection.
        // Solicitations with other options than the link-layer address are not answered: the answer
        // would quote them.
        if (hdr.ipv6.hop_limit != 255 || hdr.neighbor.code != 0 || hdr.ipv6.src == 0 ||
            hdr.ipv6.payload_length > 32) {
            drop(standard_metadata, meta, DROP_NEIGHBOR);
        } else {
            addresses.apply();
        }
    }
}

// Checksum of the advertisement (pseudo header of RFC 8200, 8.1).
control NeighborChecksum(inout headers_t hdr) {
    apply {
        update_checksum(hdr.neighbor.isValid() && hdr.neighbor.type == ICMPV6_NEIGHBOR_ADVERTISEMENT,
            { hdr.ipv6.src, hdr.ipv6.dst, 32w32, 24w0, PROTO_ICMPV6,
              hdr.neighbor.type, hdr.neighbor.code, hdr.neighbor.flags, hdr.neighbor.target,
              hdr.link_layer.type, hdr.link_layer.length, hdr.link_layer.address },
            hdr.neighbor.checksum, HashAlgorithm.csum16);
    }
}

#endif
