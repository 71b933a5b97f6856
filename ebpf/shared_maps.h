/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Maps that more than one host hook of libbpf's kind declares: pinned under their names, so that
 * the declarations must be one. sense.bpf.c, which bcc compiles, opens the same pins in bcc's way.
 */
#ifndef P4CATS_SHARED_MAPS_H
#define P4CATS_SHARED_MAPS_H

#include "host_maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_INSTANCES);
	__type(key, struct p4cats_service);
	__type(value, struct p4cats_instance);
} instances SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, P4CATS_MAX_INSTANCES);
	__uint(map_flags, BPF_F_MMAPABLE); /* user space looks often */
	__type(key, __u32); /* instance id */
	__type(value, struct p4cats_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* as many as tcp_sets */
	__type(key, __u32);
	__type(value, struct p4cats_set);
} tcp_sockets SEC(".maps"); /* made and pinned by stamp, filled by sense and established */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct p4cats_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, P4CATS_MAX_CPUS);
	__type(key, __u32);
	__type(value, struct p4cats_sched_cpu);
} sched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16384); /* a record of 4 octets takes 16: room for one of every instance */
} changes SEC(".maps"); /* ids of instances that should send a beacon; 0: the node's load has moved */

#define COUNT(reason) \
	do { \
		__u32 zero = 0; \
		struct p4cats_stats *s = bpf_map_lookup_elem(&stats, &zero); \
		if (s) \
			s->reason++; \
	} while (0)

#endif
