/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * sense: TCP connections in flight per service, and run-queue latency, from
 * tracepoints. Compiled by bcc when the agent starts; kept small, for that is
 * most of the agent's start time. (UDP requests are counted in stamp.bpf.c.)
 *
 * Passed with -D by sense.py: PIN_DIR, and three offsets taken from the BTF of the
 * running kernel, since the headers bcc compiles with may be another kernel's:
 *   SOCK_NET   offsetof(struct sock, __sk_common.skc_net.net)
 *   NET_INUM   offsetof(struct net, ns.inum)
 */
#include "host_maps.h"

#define AF_INET6 10
#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_SYN_RECV 3
#define TCP_CLOSE_WAIT 8

BPF_TABLE_PINNED("hash", struct p4cats_service, struct p4cats_instance, instances,
		 P4CATS_MAX_SERVICES, PIN_DIR "/instances");
BPF_TABLE_PINNED("hash", struct p4cats_service, struct p4cats_counters, counters,
		 P4CATS_MAX_SERVICES, PIN_DIR "/counters");
BPF_TABLE_PINNED("hash", u64, struct p4cats_tcp_socket, tcp_sockets,
		 P4CATS_MAX_FLOWS, PIN_DIR "/tcp_sockets");

static inline u32 socket_netns(const void *sk)
{
	char *net = 0;
	u32 inum = 0;

	bpf_probe_read_kernel(&net, sizeof(net), (char *)sk + SOCK_NET);
	bpf_probe_read_kernel(&inum, sizeof(inum), net + NET_INUM);
	return inum;
}

/* A connection is in flight while its state is ESTABLISHED or CLOSE_WAIT. Each is
 * remembered by its socket: opened and closed are counted once, whatever the way out
 * (close, reset, timeout), and sockets counted at a late start (established.bpf.c) leave
 * the same way. Passive opening is SYN_RECV -> ESTABLISHED: clients on this host, which
 * come from SYN_SENT, are not requests to it. */
TRACEPOINT_PROBE(sock, inet_sock_set_state)
{
	struct p4cats_tcp_socket fresh = {}, *known;
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	u64 sk = (u64)args->skaddr, now;

	if (args->protocol != IPPROTO_TCP || args->family != AF_INET6)
		return 0;

	if (args->newstate == TCP_ESTABLISHED) {
		if (args->oldstate != TCP_SYN_RECV)
			return 0;
		fresh.service.netns = socket_netns(args->skaddr);
		__builtin_memcpy(fresh.service.address, args->saddr_v6, 16);
		instance = instances.lookup(&fresh.service);
		total = counters.lookup(&fresh.service);
		if (!instance || !total || (instance->port && instance->port != args->sport))
			return 0;
		if (p4cats_in_flight(total, instance->udp_aged) < instance->workers)
			fresh.started_ns = bpf_ktime_get_ns();
		if (tcp_sockets.insert(&sk, &fresh) == 0)
			__sync_fetch_and_add(&total->tcp_opened, 1);
		return 0;
	}

	if (args->newstate == TCP_CLOSE_WAIT)
		return 0;
	known = tcp_sockets.lookup(&sk);
	if (!known)
		return 0;
	fresh = *known;
	if (tcp_sockets.delete(&sk) != 0)
		return 0;
	total = counters.lookup(&fresh.service);
	if (!total)
		return 0;
	__sync_fetch_and_add(&total->tcp_closed, 1);
	/* A reset (straight to CLOSE) says nothing about the service time. */
	if (fresh.started_ns && args->newstate != 7) {
		now = bpf_ktime_get_ns();
		__sync_fetch_and_add(&total->served_ns, now - fresh.started_ns);
		__sync_fetch_and_add(&total->served, 1);
	}
	return 0;
}

/* Run-queue latency: from becoming runnable (woken, or preempted) to running. */
struct run_queue {
	u64 waits;
	u64 wait_ns;
};
BPF_PERCPU_ARRAY(run_queue, struct run_queue, 1);
BPF_TABLE("lru_hash", u32, u64, runnable, 16384);

static inline void mark_runnable(u32 pid)
{
	u64 now = bpf_ktime_get_ns();

	if (pid)
		runnable.update(&pid, &now);
}

TRACEPOINT_PROBE(sched, sched_wakeup)
{
	mark_runnable(args->pid);
	return 0;
}

TRACEPOINT_PROBE(sched, sched_wakeup_new)
{
	mark_runnable(args->pid);
	return 0;
}

TRACEPOINT_PROBE(sched, sched_switch)
{
	u32 pid = args->next_pid;
	struct run_queue *total;
	int zero = 0;
	u64 *since;

	/* States above the low 8 bits say "preempted": still runnable. */
	if ((args->prev_state & 0xff) == 0)
		mark_runnable(args->prev_pid);
	since = runnable.lookup(&pid);
	if (!since)
		return 0;
	total = run_queue.lookup(&zero);
	if (total) {
		total->wait_ns += bpf_ktime_get_ns() - *since;
		total->waits++;
	}
	runnable.delete(&pid);
	return 0;
}
