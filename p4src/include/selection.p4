// SPDX-License-Identifier: Apache-2.0
// Choice of a service instance among the candidates of a service (the data-plane part of the C-PS).
#ifndef CATS_SELECTION_P4
#define CATS_SELECTION_P4

#include "cats_protocol.h"
#include "headers.p4"
#include "metrics.p4"

// What the controller says of a service.
struct service_t {
    bit<16> id;
    bit<2>  policy;              // CATS_POLICY_*
    bit<8>  compute_weight;      // cost = compute_weight * expected wait + network_weight * path delay
    bit<8>  network_weight;
    bit<32> total_weight;        // of all candidates, for `static`
    bit<48> load_ttl_us;         // a load older than this is unknown
    bit<48> affinity_timeout_us; // a flow idle for longer is forgotten
}

// The best candidate so far.
struct choice_t {
    bit<32>    flow_hash;
    bit<32>    static_point;     // what is left of the flow's point on the line of weights
    bit<1>     static_found;
    instance_t by_weight;
    bit<32>    hash_score;
    instance_t by_hash;
    bit<40>    cost_rank;        // cost, then a tie-break that differs from flow to flow
    instance_t by_cost;
    bit<32>    wait_us;          // of by_cost
    bit<32>    wait_step_us;     // by which one more request lengthens the wait of by_cost
    bit<1>     learned;          // wait_us was learned from packets
}

// One candidate. Slots are filled by the controller in any order; an empty slot considers nothing.
control Candidate(in service_t service, inout choice_t choice, in bit<48> now) {
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
            if (service.policy == CATS_POLICY_STATIC) {
                if (choice.static_found == 0) {
                    if (choice.static_point < weight) {
                        choice.static_found = 1;
                        choice.by_weight = instance;
                    } else {
                        choice.static_point = choice.static_point - weight;
                    }
                }
            } else {
                // Rendezvous hashing: who is added or removed moves no flow of others.
                bit<32> score = (choice.flow_hash ^ ((bit<32>)instance * 0x9e3779b1)) * 0x85ebca6b;
                score = score ^ (score >> 15);
                score = score * 0xc2b2ae35;
                if (choice.by_hash == 0 || score > choice.hash_score) {
                    choice.hash_score = score;
                    choice.by_hash = instance;
                }
                if (service.policy == CATS_POLICY_LEAST) {
                    bit<32> wait;
                    bit<48> time;
                    bit<1> learned = 1;
                    load_wait_us.read(wait, (bit<32>)instance);
                    load_time_us.read(time, (bit<32>)instance);
                    if (time == 0 || now - time > service.load_ttl_us) {
                        wait = fallback_wait_us;
                        learned = 0;
                    }
                    bit<32> cost = (bit<32>)service.compute_weight * wait
                        |+| (bit<32>)service.network_weight * path_delay_us;
                    bit<40> rank = cost ++ score[7:0];
                    if (choice.by_cost == 0 || rank < choice.cost_rank) {
                        choice.cost_rank = rank;
                        choice.by_cost = instance;
                        choice.wait_us = wait;
                        choice.wait_step_us = wait_step_us;
                        choice.learned = learned;
                    }
                }
            }
        }
    }
}

// `tracked` false: the flow has no affinity slot, so the choice must not depend on what changes
// between its packets: `least` falls back to the hash.
control Selection(in service_t service, in bit<32> flow_hash, in bool tracked, in bit<48> now,
                  out instance_t instance) {
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
        choice = { flow_hash, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
        if (service.total_weight != 0) {
            choice.static_point = flow_hash % service.total_weight;
        }
        c0.apply(service, choice, now);
        c1.apply(service, choice, now);
        c2.apply(service, choice, now);
        c3.apply(service, choice, now);
        c4.apply(service, choice, now);
        c5.apply(service, choice, now);
        c6.apply(service, choice, now);
        c7.apply(service, choice, now);

        if (service.policy == CATS_POLICY_STATIC) {
            instance = choice.by_weight;
        } else if (service.policy == CATS_POLICY_LEAST && tracked) {
            instance = choice.by_cost;
            // Until the instance says more, count the request that was just sent to it: flows that
            // start between two loads do not all run to the same instance.
            if (choice.learned == 1) {
                bit<32> wait = choice.wait_us + choice.wait_step_us;
                if (wait > WAIT_LIMIT_US) {
                    wait = WAIT_LIMIT_US;
                }
                load_wait_us.write((bit<32>)choice.by_cost, wait);
            }
        } else {
            instance = choice.by_hash;
        }
    }
}

#endif
