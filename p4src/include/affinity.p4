// SPDX-License-Identifier: Apache-2.0
// Flow affinity: a flow that has been placed stays with its instance (docs/protocol.md, 6.4).
//
// The flow table is 131,072 buckets of four entries. A new flow takes an entry of its bucket that is free,
// else the oldest that is not confirmed; where all four are confirmed it is not tracked.
#ifndef CATS_AFFINITY_P4
#define CATS_AFFINITY_P4

#include "headers.p4"

const bit<32> FLOW_ENTRIES = 524288;

typedef bit<21> ticks_t;            // of 2^14 microseconds; they come round in 9.5 hours
// An entry may look that much younger than its packet, which another processor has overtaken.
const ticks_t OVERTAKEN = 64;
const ticks_t UNCONFIRMED_TICKS = 184;   // 3 s
const ticks_t FREE = 0x1fffff;

// Entry: tag (32 bits), instance (10; 0: free), confirmed (1), time of the last packet (21).
register<bit<64>>(FLOW_ENTRIES) flow_entries;

struct flow_t {
    bit<32>    tag;
    ticks_t    now;
    ticks_t    timeout;
    bit<32>    cell;         // of the flow, or the one that it may take if `instance` is 0
    instance_t instance;     // 0: the flow is not there
    bit<1>     confirmed;
    bit<1>     tracked;      // there is a cell
    ticks_t    oldest;       // age of the entry that `cell` would take, or FREE
}

// Looks at one entry of the bucket, if the flow has not been found in those before.
control FlowEntry(inout flow_t flow, in bit<32> cell) {
    apply {
        if (flow.instance == 0) {
            bit<64> entry;
            flow_entries.read(entry, cell);
            bit<10> instance = entry[31:22];
            ticks_t age = flow.now + OVERTAKEN - entry[20:0];
            ticks_t limit = flow.timeout;
            if (entry[21:21] == 0 && limit > UNCONFIRMED_TICKS) {
                limit = UNCONFIRMED_TICKS;
            }
            if (instance != 0 && entry[63:32] == flow.tag && age <= flow.timeout + OVERTAKEN) {
                flow.tracked = 1;
                flow.cell = cell;
                flow.instance = (instance_t)instance;
                flow.confirmed = entry[21:21];
            } else if (instance == 0 || age > limit + OVERTAKEN) {
                if (flow.tracked == 0 || flow.oldest != FREE) {
                    flow.tracked = 1;
                    flow.cell = cell;
                    flow.oldest = FREE;
                }
            } else if (entry[21:21] == 0 && (flow.tracked == 0 || age > flow.oldest)) {
                flow.tracked = 1;
                flow.cell = cell;
                flow.oldest = age;
            }
        }
    }
}

control FindFlow(in bit<32> hash, in bit<32> tag, in bit<48> timeout_us, in bit<48> now, out flow_t flow) {
    FlowEntry() e0;
    FlowEntry() e1;
    FlowEntry() e2;
    FlowEntry() e3;

    apply {
        bit<32> bucket = 13w0 ++ hash[16:0] ++ 2w0;
        flow = { tag, now[34:14], timeout_us[34:14] + 1, 0, 0, 0, 0, 0 };
        e0.apply(flow, bucket);
        e1.apply(flow, bucket + 1);
        e2.apply(flow, bucket + 2);
        e3.apply(flow, bucket + 3);
    }
}

#endif
