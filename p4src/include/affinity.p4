// SPDX-License-Identifier: Apache-2.0
// Flow affinity: a flow that has been placed stays with its instance.
//
// A flow has two possible slots, named by the halves of its hash. It takes the first that is free or
// has timed out; a flow that finds both taken is not tracked and is placed by its hash alone.
#ifndef CATS_AFFINITY_P4
#define CATS_AFFINITY_P4

#include "headers.p4"

const bit<32> FLOW_SLOTS = 65536;

register<bit<32>>(FLOW_SLOTS) flow_tag;
// Instance (16 bits), time of the last packet in microseconds (48 bits).
register<bit<64>>(FLOW_SLOTS) flow_state;

// Finds the flow. `slot` is its slot, or the free one that it may take if `instance` is 0.
control FindFlow(in bit<32> hash, in bit<32> tag, in bit<48> timeout_us, in bit<48> now,
                 out bit<32> slot, out instance_t instance, out bool tracked) {
    apply {
        bit<32> first = (bit<32>)hash[15:0];
        bit<32> second = (bit<32>)hash[31:16];
        bit<32> stored;
        bit<64> state;
        slot = first;
        instance = 0;
        tracked = true;

        flow_tag.read(stored, first);
        flow_state.read(state, first);
        bool first_live = state[63:48] != 0 && now - state[47:0] <= timeout_us;
        if (first_live && stored == tag) {
            instance = state[63:48];
        } else {
            flow_tag.read(stored, second);
            flow_state.read(state, second);
            bool second_live = state[63:48] != 0 && now - state[47:0] <= timeout_us;
            if (second_live && stored == tag) {
                slot = second;
                instance = state[63:48];
            } else if (first_live) {
                slot = second;
                tracked = !second_live;
            }
        }
    }
}

#endif
