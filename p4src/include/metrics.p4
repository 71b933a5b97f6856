// SPDX-License-Identifier: Apache-2.0
// Compute load that packets carry: the CATS metric option is learned into registers at the ingress
// forwarder, and blanked before the client sees it (docs/protocol.md).
#ifndef CATS_METRICS_P4
#define CATS_METRICS_P4

#include "cats_protocol.h"
#include "headers.p4"

// Expected waits are cut to 2^24 - 1 microseconds, so that a cost fits 32 bits.
const bit<32> WAIT_LIMIT_US = 0xffffff;
// A sequence number that goes back is believed again after this time: the host has restarted.
const bit<48> SEQUENCE_LIFETIME_US = 1000000;

register<bit<32>>(CATS_INSTANCES) load_wait_us;
register<bit<32>>(CATS_INSTANCES) load_sequence;
// When the load was learned, in microseconds since the switch started; 0: never.
register<bit<48>>(CATS_INSTANCES) load_time_us;

// Index of the counter `metrics`.
const bit<32> METRIC_LEARNED = 0;
const bit<32> METRIC_MALFORMED = 1;
const bit<32> METRIC_REPLAYED = 2;
const bit<32> METRIC_UNKNOWN_INSTANCE = 3;
const bit<32> METRIC_RESULTS = 4;
counter(METRIC_RESULTS, CounterType.packets) metrics;

// For a packet with hdr.metric valid that is delivered to a host or meant for the forwarder.
control LearnMetric(inout headers_t hdr, in standard_metadata_t standard_metadata) {
    apply {
        bit<32> instance = hdr.metric.instance;
        if (hdr.metric.magic == CATS_MAGIC && hdr.metric.version == CATS_VERSION) {
            if (instance == 0 || instance >= CATS_INSTANCES) {
                metrics.count(METRIC_UNKNOWN_INSTANCE);
            } else {
                bit<32> last;
                bit<48> learned;
                bit<48> now = standard_metadata.ingress_global_timestamp;
                load_sequence.read(last, instance);
                load_time_us.read(learned, instance);
                bit<32> ahead = hdr.metric.sequence - last;
                if (learned != 0 && now - learned < SEQUENCE_LIFETIME_US && (ahead == 0 || ahead[31:31] == 1)) {
                    metrics.count(METRIC_REPLAYED);
                } else {
                    bit<32> wait = hdr.metric.expected_wait_us;
                    if (wait > WAIT_LIMIT_US) {
                        wait = WAIT_LIMIT_US;
                    }
                    load_wait_us.write(instance, wait);
                    load_sequence.write(instance, hdr.metric.sequence);
                    load_time_us.write(instance, now);
                    metrics.count(METRIC_LEARNED);
                }
            }
        } else if (hdr.metric.magic != 0) {
            metrics.count(METRIC_MALFORMED);
        }
        // Type and length stay: RFC 8200, 4 lets no forwarder remove the header.
        hdr.metric.magic = 0;
        hdr.metric.version = 0;
        hdr.metric.flags = 0;
        hdr.metric.key_id = 0;
        hdr.metric.instance = 0;
        hdr.metric.norm_fi = 0;
        hdr.metric.compute = 0;
        hdr.metric.communication = 0;
        hdr.metric.service = 0;
        hdr.metric.composed = 0;
        hdr.metric.reserved = 0;
        hdr.metric.in_flight = 0;
        hdr.metric.expected_wait_us = 0;
        hdr.metric.power_mw = 0;
        hdr.metric.sequence = 0;
        hdr.metric.mac = 0;
    }
}

#endif
