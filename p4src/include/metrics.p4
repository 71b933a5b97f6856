// SPDX-License-Identifier: Apache-2.0
// Compute load that packets carry: the CATS metric option is checked and learned into registers at the
// ingress forwarder, and taken out before a host sees it (docs/protocol.md, 3.3 to 4).
#ifndef CATS_METRICS_P4
#define CATS_METRICS_P4

#include "cats_protocol.h"
#include "headers.p4"
#include "halfsiphash.p4"

// Expected waits are cut to 2^24 - 1 microseconds, so that a cost fits 32 bits.
const bit<32> WAIT_LIMIT_US = 0xffffff;
const bit<32> WAIT_UNKNOWN = 0xffffffff;
// Without keys a sequence only puts packets in order: after a silence that long any number is taken.
const bit<48> UNKEYED_SEQUENCE_US = 1000000;

// The wait last learned, grown by what was placed since; WAIT_UNKNOWN if the instance did not know.
register<bit<32>>(CATS_INSTANCES) load_wait_us;
// When the load was learned, as packets see the time; 0: never, or the instance drains.
register<bit<48>>(CATS_INSTANCES) load_time_us;
// Key id and sequence number last accepted, above them 1: one was accepted.
register<bit<48>>(CATS_INSTANCES) load_sequence;

// Index of the counter `metrics`.
const bit<32> METRIC_LEARNED = 0;
const bit<32> METRIC_MALFORMED = 1;
const bit<32> METRIC_UNKNOWN_INSTANCE = 2;
const bit<32> METRIC_NO_KEY = 3;
const bit<32> METRIC_MISDIRECTED = 4;
const bit<32> METRIC_REPEATED = 5;
const bit<32> METRIC_STALE = 6;
const bit<32> METRIC_FORGED = 7;
const bit<32> METRIC_RESULTS = 8;
counter(METRIC_RESULTS, CounterType.packets) metrics;

// For a packet with hdr.metric valid that is delivered to a host or meant for the forwarder.
control LearnMetric(inout headers_t hdr, in standard_metadata_t standard_metadata) {
    MetricTag() metric_tag;
    bit<1> keyed = 0;
    bit<32> k0 = 0;
    bit<32> k1 = 0;
    ipv6_t service = 0;

    // Metrics of the instance come from this service address and are authenticated by this key.
    @secret
    action authenticate(bit<32> key_0, bit<32> key_1, ipv6_t source) {
        keyed = 1;
        k0 = key_0;
        k1 = key_1;
        service = source;
    }

    // Key id 0: metrics of the instance are believed if they come from this address.
    action trust(ipv6_t source) {
        service = source;
    }

    table metric_keys {
        key = {
            hdr.metric.instance: exact @name("instance");
            hdr.metric.key_id: exact @name("key_id");
        }
        actions = { authenticate; trust; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 4096;
    }

    // Type and length stay: RFC 8200, 4 lets no forwarder remove the header.
    action blank() {
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

    // A deviation from RFC 8200, 4, which lets no forwarder remove the header.
    action remove() {
        hdr.ipv6.next_header = hdr.metric.next_header;
        hdr.ipv6.payload_length = hdr.ipv6.payload_length - CATS_HBH_BYTES;
        hdr.metric.setInvalid();
    }

    // Without an entry options are blanked.
    table metric_options {
        key = { hdr.metric.option_type: exact @name("option_type"); }
        actions = { blank; remove; }
        const default_action = blank();
        size = 1;
    }

    apply {
        bit<32> instance = hdr.metric.instance;
        if (hdr.metric.magic != CATS_MAGIC || hdr.metric.version != CATS_VERSION) {
            // Zeros were blanked before.
            if (hdr.metric.magic ++ hdr.metric.version ++ hdr.metric.flags ++ hdr.metric.key_id != 0 || instance != 0
                    || hdr.metric.norm_fi ++ hdr.metric.compute ++ hdr.metric.communication ++ hdr.metric.service != 0
                    || hdr.metric.composed ++ hdr.metric.reserved ++ hdr.metric.in_flight != 0
                    || hdr.metric.expected_wait_us != 0 || hdr.metric.power_mw != 0 || hdr.metric.sequence != 0
                    || hdr.metric.mac != 0) {
                metrics.count(METRIC_MALFORMED);
            }
        } else if (instance == 0 || instance >= CATS_INSTANCES) {
            metrics.count(METRIC_UNKNOWN_INSTANCE);
        } else if (!metric_keys.apply().hit) {
            metrics.count(METRIC_NO_KEY);
        } else if (hdr.ipv6.src != service) {
            metrics.count(METRIC_MISDIRECTED);
        } else {
            bit<48> last;
            load_sequence.read(last, instance);
            bit<8> last_key = last[39:32];
            bit<8> successor = hdr.metric.key_id + 1;
            if (successor == 0) {
                successor = 1;
            }
            bool repeated = last == 8w1 ++ hdr.metric.key_id ++ hdr.metric.sequence;
            bool stale = last_key == successor
                || (last_key == hdr.metric.key_id && hdr.metric.sequence < last[31:0]);
            if (keyed == 0) {
                bit<48> time;
                load_time_us.read(time, instance);
                bool silent = standard_metadata.ingress_global_timestamp - time > UNKEYED_SEQUENCE_US;
                repeated = repeated && !silent;
                stale = stale && !silent;
            }
            if (repeated) {
                metrics.count(METRIC_REPEATED);
            } else if (stale) {
                metrics.count(METRIC_STALE);
            } else {
                bit<64> tag = hdr.metric.mac;
                if (keyed == 1) {
                    metric_tag.apply(hdr.metric, hdr.ipv6.dst, k0, k1, tag);
                }
                if (tag == hdr.metric.mac) {
                    bit<32> wait = hdr.metric.expected_wait_us;
                    if (wait != WAIT_UNKNOWN && wait > WAIT_LIMIT_US) {
                        wait = WAIT_LIMIT_US;
                    }
                    bit<48> time = standard_metadata.ingress_global_timestamp;
                    if (hdr.metric.flags[0:0] == CATS_FLAG_DRAINING) {
                        time = 0;
                    }
                    load_wait_us.write(instance, wait);
                    load_time_us.write(instance, time);
                    load_sequence.write(instance, 8w1 ++ hdr.metric.key_id ++ hdr.metric.sequence);
                    metrics.count(METRIC_LEARNED);
                } else {
                    metrics.count(METRIC_FORGED);
                }
            }
        }
        metric_options.apply();
    }
}

#endif
