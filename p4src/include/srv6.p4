// SPDX-License-Identifier: Apache-2.0
// Segment endpoints (RFC 8986): End (4.1) and End.DX6 (4.4), and H.Encaps.Red (5.2).
#ifndef CATS_SRV6_P4
#define CATS_SRV6_P4

#include "headers.p4"
#include "forwarding.p4"

const bit<8> TUNNEL_HOP_LIMIT = 64;

// Handles a packet whose outer destination is a SID of this switch.
control SegmentEndpoint(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard_metadata) {
    action end() {}

    // The adjacency of the instance: no routing of the inner packet.
    action end_dx6(port_t port, mac_t source, mac_t neighbor) {
        standard_metadata.egress_spec = port;
        hdr.ethernet.src = source;
        hdr.ethernet.dst = neighbor;
    }

    table local_sids {
        key = { hdr.outer.dst: exact @name("sid"); }
        actions = { end; end_dx6; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 2048;
    }

    apply {
        switch (local_sids.apply().action_run) {
            end: {
                if (!hdr.srh.isValid() || hdr.srh.segments_left == 0 ||
                    hdr.srh.last_entry > 3 || hdr.srh.segments_left > hdr.srh.last_entry + 1) {
                    drop(standard_metadata, meta, DROP_BAD_SEGMENT);
                } else {
                    hdr.srh.segments_left = hdr.srh.segments_left - 1;
                    if (hdr.srh.segments_left == 0 && hdr.segments[0].isValid()) {
                        hdr.outer.dst = hdr.segments[0].sid;
                    } else if (hdr.srh.segments_left == 1 && hdr.segments[1].isValid()) {
                        hdr.outer.dst = hdr.segments[1].sid;
                    } else if (hdr.srh.segments_left == 2 && hdr.segments[2].isValid()) {
                        hdr.outer.dst = hdr.segments[2].sid;
                    } else if (hdr.srh.segments_left == 3 && hdr.segments[3].isValid()) {
                        hdr.outer.dst = hdr.segments[3].sid;
                    } else {
                        drop(standard_metadata, meta, DROP_BAD_SEGMENT);
                    }
                    meta.destination = hdr.outer.dst;
                }
            }
            end_dx6: {
                if (!hdr.ipv6.isValid() || (hdr.srh.isValid() && hdr.srh.segments_left != 0)) {
                    drop(standard_metadata, meta, DROP_BAD_SEGMENT);
                } else if (hdr.ipv6.hop_limit <= 1) {
                    punt(hdr, standard_metadata, meta, PUNT_HOP_LIMIT, 0);
                    hdr.outer.setInvalid();
                    hdr.srh.setInvalid();
                    hdr.segments.pop_front(4);
                } else {
                    hdr.outer.setInvalid();
                    hdr.srh.setInvalid();
                    hdr.segments.pop_front(4);
                    hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
                    meta.done = 1;
                }
            }
        }
    }
}

#endif
