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
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_FLOWS);
	__type(key, __u64);
	__type(value, struct p4cats_tcp_socket);
} tcp_sockets SEC(".maps"); /* made and pinned by stamp, filled by sense and established */

#endif
