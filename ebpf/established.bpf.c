/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * established: an iterator over the TCP sockets of one network namespace (the reader's),
 * read once when sense starts, so that connections that are older than it count too.
 * sense's tracepoint is attached first: a socket that both see is inserted once.
 * The iterator holds the socket's lock, so a socket cannot close between the
 * look at its state and the insertion. CO-RE: offsets come from the running kernel.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "shared_maps.h"

/* Set before loading: the size of tcp_sockets, a power of two. */
const volatile __u32 tcp_sets = 2;

#define AF_INET6 10
#define TCP_ESTABLISHED 1
#define TCP_CLOSE_WAIT 8

struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
	struct ns_common ns;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct in6_addr {
	__u8 octets[16];
};

struct sock_common {
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));

struct bpf_iter__tcp {
	struct sock_common *sk_common;
} __attribute__((preserve_access_index));

SEC("iter/tcp")
int established(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct p4cats_service key = {};
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	struct p4cats_set *set, *neighbour;
	__u32 number, at, beside;
	__u64 socket;
	__u8 state;

	if (!sk || sk->skc_family != AF_INET6)
		return 0;
	state = sk->skc_state;
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return 0;
	key.netns = BPF_CORE_READ(sk, skc_net.net, ns.inum);
	BPF_CORE_READ_INTO(&key.address, sk, skc_v6_rcv_saddr);
	instance = bpf_map_lookup_elem(&instances, &key);
	if (!instance || instance->exchanges)
		return 0;
	number = instance->instance;
	total = bpf_map_lookup_elem(&counters, &number);
	/* As a number: the verifier lets nobody calculate with the pointer. */
	if (bpf_probe_read_kernel(&socket, sizeof(socket), &ctx->sk_common))
		return 0;
	at = p4cats_tcp_set_of(socket, tcp_sets);
	beside = at ^ 1;
	set = bpf_map_lookup_elem(&tcp_sockets, &at);
	neighbour = bpf_map_lookup_elem(&tcp_sockets, &beside);
	if (!total || !set || !neighbour || (instance->port && instance->port != sk->skc_num))
		return 0;
	if (p4cats_tcp_entry(set, socket) || p4cats_tcp_entry(neighbour, socket))
		return 0;
	if (p4cats_tcp_add(set, socket, number, 0) || p4cats_tcp_add(neighbour, socket, number, 0))
		__sync_fetch_and_add(&total->tcp_opened, 1);
	else
		COUNT(untracked);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
