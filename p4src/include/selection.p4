// SPDX-License-Identifier: Apache-2.0
// Choice of a service instance among the candidates of a service: the data-plane part of the C-PS
// (docs/protocol.md, 6.1 to 6.3).
#ifndef CATS_SELECTION_P4
#define CATS_SELECTION_P4

#include "cats_protocol.h"
#include "headers.p4"
#include "metrics.p4"

const bit<32> SERVICES = 1024;
const bit<32> UNKNOWN_US = 0xffffffff;
const bit<64> WORST = 0xffffffffffffffff;
const bit<33> NO_COST = 0x1ffffffff;

// What the controller says of a service.
struct service_t {
    bit<16> id;
    bit<2>  policy;              // CATS_POLICY_*
    bit<8>  compute_weight;      // cost = compute_weight * expected wait + network_weight * path delay
    bit<8>  network_weight;
    bit<32> total_weight;        // of all candidates, for `static`
    bit<48> load_ttl_us;         // a load older than this is unknown
    bit<48> dead_after_us;       // an instance not heard for longer is silent; below 2^47
    bit<48> affinity_timeout_us; // a flow idle for longer is forgotten
    bit<24> spread_us;           // what others add to a wait, for each flow placed here in a window
}

// Flows of a service that `least` has placed: number of a window of 2^20 microseconds (28 bits), flows in
// it (18), flows in the window before (18).
register<bit<64>>(SERVICES) service_flows;

// In what follows flags are computed, not assigned in branches, where that is as clear: a program that
// remembers its branches is too much for the verifier of the xdp target.

// A candidate that may be chosen.
struct ranked_t {
    bit<64>    rank;             // lowest is best; the first bit: silent
    instance_t instance;         // 0: none
    bit<33>    cost;             // in microseconds; the first bit: silent
    bit<32>    step_us;          // by which one more request lengthens the wait
}

struct choice_t {
    bit<32>    flow_hash;
    bit<2>     policy;
    bit<1>     heed_silence;
    bit<32>    spread_us;        // up to which costs are blurred
    bit<32>    static_point;     // what is left of the flow's point on the line of weights
    bit<1>     static_silent;
    instance_t by_weight;
    ranked_t   first;
    ranked_t   second;           // under `p2c` only
}

// The wait of an instance as packets told it; `given_us` where that is too old or unknown.
control Believe(in service_t service, in instance_t instance, in bit<48> now, in bit<32> given_us,
                out bit<32> wait_us, out bit<1> silent) {
    apply {
        bit<48> time;
        load_wait_us.read(wait_us, (bit<32>)instance);
        load_time_us.read(time, (bit<32>)instance);
        // What another processor has learned since the packet came in is a little in the future.
        bit<48> age = now - time;
        bit<48> lifetime = service.load_ttl_us - age;
        bit<48> life = service.dead_after_us - age;
        silent = life[47:47];
        if (time == 0 || lifetime[47:47] == 1 || wait_us > WAIT_LIMIT_US) {
            wait_us = given_us;
        }
    }
}

// One candidate. Slots are filled by the controller in any order; an empty slot considers nothing.
control Candidate(in service_t service, inout choice_t choice, in bit<48> now) {
    Believe() believe;
    instance_t instance = 0;
    bit<32> weight = 0;
    bit<32> path_delay_us = 0;
    bit<32> fallback_wait_us = 0;
    bit<32> wait_step_us = 0;

    // fallback_wait_us (below 2^24) holds while no fresh load is known from packets.
    action consider(instance_t instance_id, bit<16> static_weight, bit<24> delay_us, bit<24> wait_us,
                    bit<24> step_us) {
        instance = instance_id;
        weight = (bit<32>)static_weight;
        path_delay_us = (bit<32>)delay_us;
        fallback_wait_us = (bit<32>)wait_us;
        wait_step_us = (bit<32>)step_us;
    }

    table candidates {
        key = { service.id: exact @name("service_id"); }
        actions = { consider; @defaultonly NoAction; }
        const default_action = NoAction();
        size = 1024;
    }

    apply {
        if (candidates.apply().hit) {
            bit<32> wait;
            bit<1> silent;
            believe.apply(service, instance, now, fallback_wait_us, wait, silent);
            silent = silent & choice.heed_silence;
            // Rendezvous hashing: who is added or removed moves no flow of others.
            bit<32> score = (choice.flow_hash ^ ((bit<32>)instance * 0x9e3779b1)) * 0x85ebca6b;
            score = score ^ (score >> 15);
            score = ~(score * 0xc2b2ae35);
            ranked_t candidate = { silent ++ 31w0 ++ score, instance, 0, wait_step_us };
            if (choice.policy == CATS_POLICY_STATIC) {
                if (choice.static_point < weight) {
                    choice.static_silent = silent;
                    choice.by_weight = instance;
                }
                // Wraps behind the flow's point: no weight is that large.
                choice.static_point = choice.static_point - weight;
                bit<32> weightless = weight - 1;
                candidate.rank[63:63] = silent | weightless[31:31];
            } else if (choice.policy[1:1] == 1) {
                bit<48> blur = (bit<48>)score[31:16] * (bit<48>)choice.spread_us;
                wait = wait + blur[47:16];
                if (wait > WAIT_LIMIT_US) {
                    wait = WAIT_LIMIT_US;
                }
                bit<32> cost = (bit<32>)service.compute_weight * wait
                    |+| (bit<32>)service.network_weight * path_delay_us;
                candidate.cost = silent ++ cost;
                if (choice.policy == CATS_POLICY_LEAST) {
                    candidate.rank = silent ++ cost ++ score[31:1];
                }
            }
            if (candidate.rank < choice.first.rank) {
                if (choice.policy == CATS_POLICY_P2C) {
                    choice.second = choice.first;
                }
                choice.first = candidate;
            } else if (choice.policy == CATS_POLICY_P2C && candidate.rank < choice.second.rank) {
                choice.second = candidate;
            }
        }
    }
}

// Up to how much the waits of a service are to be blurred: what the other ingress forwarders, which hear
// the same loads, may have added to the wait of whoever is best since it was told.
control Spread(in service_t service, in bit<48> now, out bit<32> spread_us) {
    apply {
        bit<32> index = (bit<32>)service.id[9:0];
        bit<64> flows;
        service_flows.read(flows, index);
        bit<28> window = now[47:20];
        bit<18> count = flows[35:18];
        bit<18> before = flows[17:0];
        if (window != flows[63:36]) {
            before = count;
            if (window != flows[63:36] + 1) {
                before = 0;
            }
            count = 0;
        }
        count = count |+| 1;
        service_flows.write(index, window ++ count ++ before);
        if (count > before) {
            before = count;
        }
        bit<48> product = (bit<48>)before * (bit<48>)service.spread_us |-| (bit<48>)CATS_SPREAD_TIME_US;
        spread_us = product[31:0];
        if (product > (bit<48>)WAIT_LIMIT_US) {
            spread_us = WAIT_LIMIT_US;
        }
    }
}

// `stateless`: the flow is not tracked, or its table entry may have been lost: what changes between its
// packets (loads, silence) must not matter. `least` and `p2c` fall back to the hash.
control Selection(in service_t service, in bit<32> flow_hash, in bit<1> stateless, in bit<48> now,
                  out instance_t instance) {
    Spread() spread;
    Believe() believe;
    Candidate() c0;
    Candidate() c1;
    Candidate() c2;
    Candidate() c3;
    Candidate() c4;
    Candidate() c5;
    Candidate() c6;
    Candidate() c7;
    choice_t choice;

    apply {
        choice = { flow_hash, service.policy, ~stateless, 0, 0, 0, 0, { WORST, 0, NO_COST, 0 },
                   { WORST, 0, NO_COST, 0 } };
        if (stateless == 1 && service.policy[1:1] == 1) {
            choice.policy = CATS_POLICY_HASH;
        }
        if (choice.policy == CATS_POLICY_STATIC && service.total_weight != 0) {
            choice.static_point = flow_hash % service.total_weight;
        }
        if (choice.policy == CATS_POLICY_LEAST && service.spread_us != 0) {
            spread.apply(service, now, choice.spread_us);
        }
        c0.apply(service, choice, now);
        c1.apply(service, choice, now);
        c2.apply(service, choice, now);
        c3.apply(service, choice, now);
        c4.apply(service, choice, now);
        c5.apply(service, choice, now);
        c6.apply(service, choice, now);
        c7.apply(service, choice, now);

        bit<32> step_us = choice.first.step_us;
        instance = choice.first.instance;
        if (choice.policy == CATS_POLICY_STATIC) {
            // Flows of a silent instance are shared out by their hash, unless all are silent.
            if (choice.static_silent == 0 || choice.first.rank[63:63] == 1) {
                instance = choice.by_weight;
            }
        } else if (choice.policy[1:1] == 1) {
            if (choice.policy == CATS_POLICY_P2C && choice.second.cost < choice.first.cost) {
                instance = choice.second.instance;
                step_us = choice.second.step_us;
            }
            // Until the instance says more, count the request that is sent to it now.
            bit<32> wait;
            bit<1> silent;
            believe.apply(service, instance, now, UNKNOWN_US, wait, silent);
            if (wait <= WAIT_LIMIT_US) {
                wait = wait + step_us;
                if (wait > WAIT_LIMIT_US) {
                    wait = WAIT_LIMIT_US;
                }
                load_wait_us.write((bit<32>)instance, wait);
            }
        }
    }
}

#endif
