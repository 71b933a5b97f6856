/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * sense: TCP connections in flight per service, run-queue latency and idle time, from
 * tracepoints. Compiled by bcc when the agent starts; kept small, for that is
 * most of the agent's start time. (UDP requests are counted in stamp.bpf.c; node.bpf.c reads
 * what is counted here of the scheduler.)
 *
 * Passed with -D by sense.py: PIN_DIR, TCP_SETS, and offsets taken from the BTF of the
 * running kernel, since the headers bcc compiles with may be another kernel's:
 *   SOCK_FAMILY, SOCK_PROTOCOL, SOCK_NET, SOCK_ADDRESS, SOCK_PORT   of struct sock
 *   SOCK_COMMON                                                     octets of struct sock that hold most of them
 *   NET_INUM                                                        of struct net
 *   TASK_WAITED                                                     of struct task_struct
 */
#include "host_maps.h"

#define AF_INET6 10
#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8

BPF_TABLE_PINNED("hash", struct p4cats_service, struct p4cats_instance, instances,
		 P4CATS_MAX_INSTANCES, PIN_DIR "/instances");
BPF_TABLE_PINNED("array", u32, struct p4cats_counters, counters, P4CATS_MAX_INSTANCES, PIN_DIR "/counters");
BPF_TABLE_PINNED("array", u32, struct p4cats_set, tcp_sockets, TCP_SETS, PIN_DIR "/tcp_sockets");
BPF_TABLE_PINNED("percpu_array", u32, struct p4cats_stats, stats, 1, PIN_DIR "/stats");
BPF_TABLE_PINNED("array", u32, struct p4cats_sched_cpu, sched, P4CATS_MAX_CPUS, PIN_DIR "/sched");

/* The service that a socket serves, and its port; 0 if it is no TCP over IPv6. */
static inline int service_of(const void *sk, struct p4cats_service *service, u16 *port)
{
	u64 common[SOCK_COMMON / 8]; /* one read for most of it */
	u16 protocol = 0;

	if (bpf_probe_read_kernel(common, sizeof(common), sk) ||
	    *(u16 *)((void *)common + SOCK_FAMILY) != AF_INET6)
		return 0;
	bpf_probe_read_kernel(&protocol, sizeof(protocol), sk + SOCK_PROTOCOL);
	if (protocol != IPPROTO_TCP)
		return 0;
	bpf_probe_read_kernel(&service->netns, sizeof(service->netns),
			      *(void **)((void *)common + SOCK_NET) + NET_INUM);
	__builtin_memcpy(service->address, (void *)common + SOCK_ADDRESS, sizeof(service->address));
	*port = *(u16 *)((void *)common + SOCK_PORT);
	return 1;
}

/* A connection is in flight while its state is ESTABLISHED or CLOSE_WAIT. Each is
 * remembered by its socket: opened and closed are counted once, whatever the way out
 * (close, reset, timeout), and sockets counted at a late start (established.bpf.c) leave
 * the same way. Passive opening is SYN_RECV -> ESTABLISHED: clients on this host, which
 * come from SYN_SENT, are not requests to it. An instance whose requests are exchanges has them counted in
 * stamp.bpf.c instead. */
RAW_TRACEPOINT_PROBE(inet_sock_set_state)
{
	struct p4cats_service service = {};
	struct p4cats_instance *instance;
	struct p4cats_set *set, *neighbour;
	struct p4cats_counters *total;
	struct p4cats_entry *known;
	struct p4cats_stats *count;
	u32 at, beside, number, zero = 0;
	u64 sk = ctx->args[0], since_ns = 0;
	int old = ctx->args[1], new = ctx->args[2];
	u16 port = 0;

	if (new == TCP_ESTABLISHED ? old != TCP_SYN_RECV :
	    new == TCP_CLOSE_WAIT || (old != TCP_ESTABLISHED && old != TCP_CLOSE_WAIT))
		return 0;
	at = p4cats_tcp_set_of(sk, TCP_SETS);
	beside = at ^ 1;
	set = tcp_sockets.lookup(&at);
	neighbour = tcp_sockets.lookup(&beside);
	if (!set || !neighbour)
		return 0;
	known = p4cats_tcp_entry(set, sk);
	if (!known)
		known = p4cats_tcp_entry(neighbour, sk);

	if (new == TCP_ESTABLISHED) {
		if (known || !service_of((void *)sk, &service, &port))
			return 0;
		instance = instances.lookup(&service);
		if (!instance || instance->exchanges || (instance->port && instance->port != port))
			return 0;
		number = instance->instance;
		total = counters.lookup(&number);
		if (!total)
			return 0;
		if (p4cats_in_flight(total) < instance->workers)
			since_ns = bpf_ktime_get_ns();
		if (p4cats_tcp_add(set, sk, number, since_ns) ||
		    p4cats_tcp_add(neighbour, sk, number, since_ns)) {
			__sync_fetch_and_add(&total->tcp_opened, 1);
			return 0;
		}
		count = stats.lookup(&zero);
		if (count)
			count->untracked++;
		return 0;
	}

	if (!known)
		return 0;
	number = known->word & 0xFFFF;
	since_ns = known->since_ns;
	known->word = 0;
	total = counters.lookup(&number);
	if (!total)
		return 0;
	__sync_fetch_and_add(&total->tcp_closed, 1);
	/* A reset (straight to CLOSE) says nothing about the service time. */
	if (since_ns && new != TCP_CLOSE)
		p4cats_served(total, bpf_ktime_get_ns() - since_ns);
	return 0;
}

/* The node: time that processors are idle, and run-queue latency: from becoming runnable (woken, or
 * preempted) to running. The kernel adds up for each task how long it has waited (struct sched_info),
 * after this tracepoint and before the task runs: its next switch shows by how much that grew. A task
 * that was moved while it waited counts from the move.
 *
 * This runs at every context switch of the machine: one program, no look-up by hash, and where switches
 * are many a random sample of the waits, since reading cold memory is what takes time. */
static inline u64 waited_ns(u64 task)
{
	u64 ns = 0;

	bpf_probe_read_kernel(&ns, sizeof(ns), (void *)(task + TASK_WAITED));
	return ns;
}

RAW_TRACEPOINT_PROBE(sched_switch)
{
	u64 previous = ctx->args[1], next = ctx->args[2];
	u32 cpu = bpf_get_smp_processor_id();
	struct p4cats_sched_cpu *total = sched.lookup(&cpu);

	if (!total)
		return 0;
	if (total->sampled) {
		if (total->sampled == previous) {
			total->wait_ns += waited_ns(previous) - total->waited_ns;
			total->waits++;
		}
		total->sampled = 0;
	}
	if (total->idle_since_ns) {
		total->idle_ns += bpf_ktime_get_ns() - total->idle_since_ns;
		total->idle_since_ns = 0;
	}
	if (!total->idle_task && (u32)bpf_get_current_pid_tgid() == 0)
		total->idle_task = previous;
	if (next == total->idle_task) {
		total->idle_since_ns = bpf_ktime_get_ns();
		return 0;
	}
	total->random = total->random * 1664525 + 1013904223; /* Numerical Recipes; its high bits are random */
	if (!(total->random >> 16 & total->mask)) {
		total->sampled = next;
		total->waited_ns = waited_ns(next);
	}
	return 0;
}
