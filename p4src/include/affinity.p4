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
const ticks_t UNCONFIRMED_TICKS = 184 + OVERTAKEN;   // 3 s
const bit<22> FREE = 0x3fffff;

// Entry: tag (32 bits), instance (10; 0: free), confirmed (1), time of the last packet (21).
register<bit<64>>(FLOW_ENTRIES) flow_entries;

struct flow_t {
    bit<32>    tag;
    ticks_t    now;
    ticks_t    timeout;
    ticks_t    unconfirmed_timeout;
    bit<32>    cell;         // of the flow, or the one that it may take if `instance` is 0
    instance_t instance;     // 0: the flow is not there
    bit<1>     confirmed;
    bit<22>    worth;        // of taking `cell`: 0 not at all, else the age of its entry, all ones if it is free
}

// Looks at one entry of the bucket, if the flow has not been found in those before.
control FlowEntry(inout flow_t flow, in bit<32> cell) {
    apply {
        if (flow.instance == 0) {
            bit<64> entry;
            flow_entries.read(entry, cell);
            bit<11> instance = 1w0 ++ entry[31:22];
            bit<1> confirmed = entry[21:21];
            ticks_t age = flow.now + OVERTAKEN - entry[20:0];
            if (entry[63:32] == flow.tag && instance != 0 && age <= flow.timeout) {
                flow.cell = cell;
                flow.instance = (instance_t)instance;
                flow.confirmed = confirmed;
                flow.worth = FREE;
            } else {
                bit<21> kept = 21w0 - (bit<21>)confirmed;
                bit<22> left = (1w0 ++ ((flow.timeout & kept) | (flow.unconfirmed_timeout & ~kept))) - (1w0 ++ age);
                bit<11> empty = instance - 1;
                bit<22> free = 22w0 - (bit<22>)(left[21:21] | empty[10:10]);
                bit<22> worth = (1w0 ++ (age & ~kept)) | free;
                if (worth > flow.worth) {
                    flow.worth = worth;
                    flow.cell = cell;
                }
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
        ticks_t timeout = timeout_us[34:14] + 1 + OVERTAKEN;
        flow = { tag, now[34:14], timeout, timeout, 0, 0, 0, 0 };
        if (timeout > UNCONFIRMED_TICKS) {
            flow.unconfirmed_timeout = UNCONFIRMED_TICKS;
        }
        e0.apply(flow, bucket);
        e1.apply(flow, bucket + 1);
        e2.apply(flow, bucket + 2);
        e3.apply(flow, bucket + 3);
    }
}

#endif
