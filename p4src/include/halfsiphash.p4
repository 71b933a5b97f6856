// SPDX-License-Identifier: Apache-2.0
// HalfSipHash-2-4 with a 64-bit tag (Aumasson and Bernstein, 2012; the variant with 32-bit words) over the
// 44 octets of a metric and its packet's destination (docs/protocol.md, 4).
#ifndef CATS_HALFSIPHASH_P4
#define CATS_HALFSIPHASH_P4

#include "headers.p4"

struct halfsiphash_t {
    bit<32> v0;
    bit<32> v1;
    bit<32> v2;
    bit<32> v3;
}

// HalfSipHash reads and writes words least significant octet first.
bit<32> swap_octets(in bit<32> word) {
    return word[7:0] ++ word[15:8] ++ word[23:16] ++ word[31:24];
}

action siphash_round(inout halfsiphash_t s) {
    s.v0 = s.v0 + s.v1;
    s.v1 = (s.v1[26:0] ++ s.v1[31:27]) ^ s.v0;
    s.v0 = s.v0[15:0] ++ s.v0[31:16];
    s.v2 = s.v2 + s.v3;
    s.v3 = (s.v3[23:0] ++ s.v3[31:24]) ^ s.v2;
    s.v0 = s.v0 + s.v3;
    s.v3 = (s.v3[24:0] ++ s.v3[31:25]) ^ s.v0;
    s.v2 = s.v2 + s.v1;
    s.v1 = (s.v1[18:0] ++ s.v1[31:19]) ^ s.v2;
    s.v2 = s.v2[15:0] ++ s.v2[31:16];
}

action siphash_word(inout halfsiphash_t s, in bit<32> octets) {
    bit<32> word = swap_octets(octets);
    s.v3 = s.v3 ^ word;
    siphash_round(s);
    siphash_round(s);
    s.v0 = s.v0 ^ word;
}

action siphash_finish(inout halfsiphash_t s, out bit<32> octets) {
    siphash_round(s);
    siphash_round(s);
    siphash_round(s);
    siphash_round(s);
    octets = swap_octets(s.v1 ^ s.v3);
}

// The tag of a metric that goes to `destination`; k0 and k1 are the key's words.
control MetricTag(in metric_t metric, in ipv6_t destination, in bit<32> k0, in bit<32> k1, out bit<64> tag) {
    // Traces show nothing of what is in an action with @secret.
    @secret
    action compute() {
        // 0xee: the tag has 64 bits.
        halfsiphash_t s = { k0, k1 ^ 0xee, k0 ^ 0x6c796765, k1 ^ 0x74656462 };
        siphash_word(s, metric.magic ++ metric.version ++ metric.flags ++ metric.key_id);
        siphash_word(s, metric.instance);
        siphash_word(s, metric.norm_fi ++ metric.compute ++ metric.communication ++ metric.service);
        siphash_word(s, metric.composed ++ metric.reserved ++ metric.in_flight);
        siphash_word(s, metric.expected_wait_us);
        siphash_word(s, metric.power_mw);
        siphash_word(s, metric.sequence);
        siphash_word(s, destination[127:96]);
        siphash_word(s, destination[95:64]);
        siphash_word(s, destination[63:32]);
        siphash_word(s, destination[31:0]);
        siphash_word(s, CATS_MAC_INPUT_BYTES);   // nothing is left over; the last octet is the length
        bit<32> first;
        bit<32> second;
        s.v2 = s.v2 ^ 0xee;
        siphash_finish(s, first);
        s.v1 = s.v1 ^ 0xdd;
        siphash_finish(s, second);
        tag = first ++ second;
    }

    apply {
        compute();
    }
}

#endif
