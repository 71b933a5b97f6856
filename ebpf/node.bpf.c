/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * node: a timer in the kernel that reads, every few milliseconds, what sense.bpf.c counts of the
 * scheduler: the share of CPU time in use and the mean wait for a CPU, as averages over about a second.
 * User space reads them without a system call, and is woken when they have moved: so the
 * resolution costs next to nothing while nothing changes.
 *
 * The timer lives as long as user space holds the map `timer` open. Needs Linux 5.15 (BPF timers).
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "shared_maps.h"

#define CLOCK_MONOTONIC 1
#define MILLION 1000000
#define SCALE 1024 /* so that sums of few and small numbers fade away too */
#define NODE 0 /* among the ids of instances in `changes` */

/* Set before loading. */
const volatile __u64 period_ns = 10000000;
const volatile __u64 smoothing = 100; /* readings, of which one weighs 1/smoothing */
const volatile __u32 cpus = 1;        /* possible ones, each with an entry in `sched` */
const volatile __u32 online = 1;

struct totals {
	__u64 at_ns, idle_ns, waits, wait_ns;
};

struct clock {
	struct bpf_timer timer;
	struct totals last; /* reading */
	struct totals sums; /* what came since, times SCALE, fading */
	__u32 told_use_ppm, told_wait_ns;
	__u32 mask; /* of the sample */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock);
} timer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct p4cats_node);
} node SEC(".maps");

static __always_inline void read_totals(struct totals *now)
{
	struct p4cats_sched_cpu *cpu;
	__u64 since;

	now->at_ns = bpf_ktime_get_ns();
	for (__u32 i = 0; i < P4CATS_MAX_CPUS && i < cpus; i++) {
		__u32 at = i;

		cpu = bpf_map_lookup_elem(&sched, &at);
		if (!cpu)
			break;
		now->waits += cpu->waits;
		now->wait_ns += cpu->wait_ns;
		since = cpu->idle_since_ns;
		now->idle_ns += cpu->idle_ns + (since && since < now->at_ns ? now->at_ns - since : 0);
	}
}

/* A processor that leaves idle meanwhile may show a little less than before; the next reading has it right. */
static __always_inline void add(__u64 *sum, __u64 now, __u64 last)
{
	*sum += (now > last ? now - last : 0) * SCALE - *sum / smoothing;
}

static __always_inline int moved(__u32 now, __u32 told, __u32 least)
{
	__u32 off = now > told ? now - told : told - now;

	return off > least && off > told / 8;
}

/* Take about so many waits between two readings: all of them where there are not more. */
#define SAMPLES 10
#define MAX_MASK 1023

static __always_inline void resample(struct clock *clock, __u64 waits)
{
	struct p4cats_sched_cpu *cpu;

	if (waits > 2 * SAMPLES && clock->mask < MAX_MASK)
		clock->mask = clock->mask * 2 + 1;
	else if (waits < SAMPLES && clock->mask)
		clock->mask /= 2;
	else
		return;
	for (__u32 i = 0; i < P4CATS_MAX_CPUS && i < cpus; i++) {
		__u32 at = i;

		cpu = bpf_map_lookup_elem(&sched, &at);
		if (cpu)
			cpu->mask = clock->mask;
	}
}

static int read_scheduler(void *map, __u32 *key, struct clock *clock)
{
	struct p4cats_node *now = bpf_map_lookup_elem(&node, key);
	struct totals *sums = &clock->sums, totals = {};
	__u64 passed, idle, wait_ns;
	__u32 number = NODE;

	if (!now)
		return 0;
	read_totals(&totals);
	add(&sums->at_ns, totals.at_ns, clock->last.at_ns);
	add(&sums->idle_ns, totals.idle_ns, clock->last.idle_ns);
	add(&sums->waits, totals.waits, clock->last.waits);
	add(&sums->wait_ns, totals.wait_ns, clock->last.wait_ns);
	resample(clock, totals.waits - clock->last.waits);
	clock->last = totals;
	passed = sums->at_ns / MILLION * online;
	idle = passed ? sums->idle_ns / passed : MILLION;
	wait_ns = sums->waits ? sums->wait_ns / sums->waits : 0;
	now->cpu_use_ppm = idle < MILLION ? MILLION - idle : 0;
	now->run_queue_ns = wait_ns < 0xFFFFFFFF ? wait_ns : 0xFFFFFFFF;
	now->readings++;
	now->spent_ns += bpf_ktime_get_ns() - totals.at_ns;
	if (moved(now->cpu_use_ppm, clock->told_use_ppm, MILLION / 32) ||
	    moved(now->run_queue_ns, clock->told_wait_ns, 250000)) {
		clock->told_use_ppm = now->cpu_use_ppm;
		clock->told_wait_ns = now->run_queue_ns;
		bpf_ringbuf_output(&changes, &number, sizeof(number), 0);
	}
	bpf_timer_start(&clock->timer, period_ns, 0);
	return 0;
}

/* Run once by user space, with any packet. */
SEC("tc")
int start(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct clock *clock = bpf_map_lookup_elem(&timer, &zero);

	if (!clock)
		return -1;
	read_totals(&clock->last);
	if (bpf_timer_init(&clock->timer, &timer, CLOCK_MONOTONIC) ||
	    bpf_timer_set_callback(&clock->timer, read_scheduler))
		return -1;
	return bpf_timer_start(&clock->timer, period_ns, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
