/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * sense: TCP connections in flight per service, run-queue latency and idle time, from
 * tracepoints. Compiled by bcc when the agent starts; kept small, for that is
 * most of the agent's start time. (UDP requests are counted in stamp.bpf.c.)
 *
 * Passed with -D by sense.py: PIN_DIR, CPUS (possible processors), and offsets taken from the BTF of the
 * running kernel, since the headers bcc compiles with may be another kernel's:
 *   SOCK_FAMILY, SOCK_PROTOCOL, SOCK_NET, SOCK_ADDRESS, SOCK_PORT   of struct sock
 *   NET_INUM                                                        of struct net
 *   TASK_STATE                                                      of struct task_struct
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
BPF_TABLE_PINNED("hash", u64, struct p4cats_tcp_socket, tcp_sockets,
		 P4CATS_MAX_FLOWS, PIN_DIR "/tcp_sockets");

/* The service that a socket serves, and its port; 0 if it is no TCP over IPv6. */
static inline int service_of(const void *sk, struct p4cats_service *service, u16 *port)
{
	u16 family = 0, protocol = 0;
	char *net = 0;

	bpf_probe_read_kernel(&family, sizeof(family), sk + SOCK_FAMILY);
	bpf_probe_read_kernel(&protocol, sizeof(protocol), sk + SOCK_PROTOCOL);
	if (family != AF_INET6 || protocol != IPPROTO_TCP)
		return 0;
	bpf_probe_read_kernel(&net, sizeof(net), sk + SOCK_NET);
	bpf_probe_read_kernel(&service->netns, sizeof(service->netns), net + NET_INUM);
	bpf_probe_read_kernel(service->address, sizeof(service->address), sk + SOCK_ADDRESS);
	bpf_probe_read_kernel(port, sizeof(*port), sk + SOCK_PORT);
	return 1;
}

/* A connection is in flight while its state is ESTABLISHED or CLOSE_WAIT. Each is
 * remembered by its socket: opened and closed are counted once, whatever the way out
 * (close, reset, timeout), and sockets counted at a late start (established.bpf.c) leave
 * the same way. Passive opening is SYN_RECV -> ESTABLISHED: clients on this host, which
 * come from SYN_SENT, are not requests to it. */
RAW_TRACEPOINT_PROBE(inet_sock_set_state)
{
	struct p4cats_tcp_socket fresh = {}, *known;
	struct p4cats_service service = {};
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	u64 sk = ctx->args[0];
	int old = ctx->args[1], new = ctx->args[2];
	u16 port = 0;

	if (new == TCP_ESTABLISHED) {
		if (old != TCP_SYN_RECV || !service_of((void *)sk, &service, &port))
			return 0;
		instance = instances.lookup(&service);
		if (!instance || (instance->port && instance->port != port))
			return 0;
		fresh.instance = instance->instance;
		total = counters.lookup(&fresh.instance);
		if (!total)
			return 0;
		if (p4cats_in_flight(total, instance->udp_aged) < instance->workers)
			fresh.started_ns = bpf_ktime_get_ns();
		if (tcp_sockets.insert(&sk, &fresh) == 0)
			__sync_fetch_and_add(&total->tcp_opened, 1);
		return 0;
	}

	if (new == TCP_CLOSE_WAIT || (old != TCP_ESTABLISHED && old != TCP_CLOSE_WAIT))
		return 0;
	known = tcp_sockets.lookup(&sk);
	if (!known)
		return 0;
	fresh = *known;
	if (tcp_sockets.delete(&sk) != 0)
		return 0;
	total = counters.lookup(&fresh.instance);
	if (!total)
		return 0;
	__sync_fetch_and_add(&total->tcp_closed, 1);
	/* A reset (straight to CLOSE) says nothing about the service time. */
	if (fresh.started_ns && new != TCP_CLOSE)
		p4cats_served(total, bpf_ktime_get_ns() - fresh.started_ns);
	return 0;
}

/* The node: time that processors are idle, and run-queue latency: from becoming runnable (woken, or
 * preempted) to running. Raw tracepoints, no look-ups by hash, and a sample of the tasks:
 * this runs at every context switch of the machine. */
struct sched_cpu {
	u64 switches;
	u64 waits;         /* sampled */
	u64 wait_ns;
	u64 idle_ns;
	u64 idle_since_ns; /* CLOCK_MONOTONIC; 0: not idle now */
	u64 idle_task;     /* address of this processor's */
};
BPF_F_TABLE("array", u32, struct sched_cpu, sched, CPUS, BPF_F_MMAPABLE);

/* One of mask + 1 tasks (a power of two) is sampled, others in each epoch. What was marked in
 * another epoch is not believed: the task may have run since without being seen. */
struct sampling {
	u32 mask;
	u32 epoch;
};
BPF_ARRAY(sampling, struct sampling, 1);

#define SLOTS 16384 /* two tasks in one slot lose a sample */
struct runnable {
	u64 since_ns;
	u64 task; /* address, and the epoch in the high bits that all addresses share */
};
BPF_ARRAY(runnable, struct runnable, SLOTS);

/* The slot of a task, or null if it is not sampled. */
static inline struct runnable *slot_of(u64 task, u64 *mark)
{
	u32 zero = 0, hash, slot;
	struct sampling *now = sampling.lookup(&zero);

	if (!now)
		return 0;
	hash = ((u32)(task >> 6) + now->epoch) * 2654435761U; /* Fibonacci hashing (Knuth) */
	if ((hash >> 16) & now->mask)
		return 0;
	*mark = task ^ (u64)now->epoch << 48;
	slot = (u32)(task >> 6) * 2654435761U >> 18; /* 14 bits */
	return runnable.lookup(&slot);
}

static inline void mark_runnable(u64 task)
{
	u64 mark;
	struct runnable *slot = slot_of(task, &mark);

	if (slot) {
		slot->task = mark;
		slot->since_ns = bpf_ktime_get_ns();
	}
}

RAW_TRACEPOINT_PROBE(sched_wakeup)
{
	mark_runnable(ctx->args[0]);
	return 0;
}

RAW_TRACEPOINT_PROBE(sched_wakeup_new)
{
	mark_runnable(ctx->args[0]);
	return 0;
}

RAW_TRACEPOINT_PROBE(sched_switch)
{
	u64 previous = ctx->args[1], next = ctx->args[2], mark, now;
	u32 cpu = bpf_get_smp_processor_id(), state = 0;
	struct sched_cpu *total = sched.lookup(&cpu);
	struct runnable *slot;

	if (!total)
		return 0;
	total->switches++;
	if ((u32)bpf_get_current_pid_tgid() == 0) {
		total->idle_task = previous;
		if (total->idle_since_ns) {
			total->idle_ns += bpf_ktime_get_ns() - total->idle_since_ns;
			total->idle_since_ns = 0;
		}
	} else {
		slot = slot_of(previous, &mark);
		/* State 0: preempted, still runnable. */
		if (slot && !bpf_probe_read_kernel(&state, sizeof(state), (void *)(previous + TASK_STATE)) &&
		    !state) {
			slot->task = mark;
			slot->since_ns = bpf_ktime_get_ns();
		}
	}
	if (next == total->idle_task) {
		total->idle_since_ns = bpf_ktime_get_ns();
		return 0;
	}
	slot = slot_of(next, &mark);
	if (!slot || slot->task != mark)
		return 0;
	now = bpf_ktime_get_ns();
	if (now > slot->since_ns)
		total->wait_ns += now - slot->since_ns;
	total->waits++;
	slot->task = 0;
	return 0;
}
