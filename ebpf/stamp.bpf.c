/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * stamp: tc (clsact) programs on the interface of a host that serves.
 *
 * egress   IPv6 TCP and UDP packets whose source is a service address get a Hop-by-Hop
 *          header with the CATS metric option (layout: p4cats/protocol.py): what user
 *          space knows of the instance, and requests in flight and expected wait as of
 *          this packet. The sequence number increases with every stamp of an instance;
 *          the segments cut from one GSO packet carry the same one.
 * ingress  counts UDP requests; egress counts the responses that answer them.
 *
 * Key id 0: no key, MAC zero. Unknown values are all ones: wait without a service
 * time or workers; power and scores as user space says.
 *
 * A packet is left as it is, and counted under the reason, when the option would not
 * fit the MTU, when it has a Hop-by-Hop header already (RFC 8200 allows one), when it is not
 * plain TCP or UDP (fragments, too: a stamp would be on the first of them only), and when the
 * agent has not refreshed its values in time. Checksums stay right: neither pseudo-header
 * field changes. Needs Linux 5.12 (bpf_check_mtu, atomics with fetch).
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "cats_protocol.h"
#include "host_maps.h"

#define ETH_P_IPV6 0x86DD
#define NEXT_HOP_BY_HOP 0
#define NEXT_TCP 6
#define NEXT_UDP 17
#define TC_ACT_UNSPEC (-1) /* go on to the next filter */

struct ethernet {
	__u8 destination[6], source[6];
	__be16 type;
};

struct ipv6 {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next_header, hop_limit;
	__u8 source[16], destination[16];
};

struct udp {
	__be16 source, destination, length, checksum;
};

struct metric_header { /* a Hop-by-Hop header with the option alone */
	__u8 next_header, ext_length;
	__u8 type, length;
	__be16 magic;
	__u8 version_flags, key_id;
	__be32 instance;
	__u8 norm_fi, compute, communication, service, composed, reserved;
	__be16 in_flight;
	__be32 wait_us;
	__be32 power_mw;
	__be32 sequence;
	__be32 mac[2];
} __attribute__((packed));

_Static_assert(sizeof(struct metric_header) == CATS_HBH_BYTES, "option layout");
_Static_assert(CATS_HBH_BYTES == CATS_OPTION_LENGTH + 4, "Hop-by-Hop and option headers");
_Static_assert(CATS_HBH_BYTES == 8 * (CATS_HBH_EXT_LENGTH + 1), "Hop-by-Hop length");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct p4cats_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_SERVICES);
	__type(key, struct p4cats_service);
	__type(value, struct p4cats_instance);
} instances SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_SERVICES);
	__type(key, struct p4cats_service);
	__type(value, struct p4cats_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_FLOWS);
	__type(key, __u64);
	__type(value, struct p4cats_tcp_socket);
} tcp_sockets SEC(".maps"); /* of sense and established; declared here to be made and pinned once */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_FLOWS);
	__type(key, struct p4cats_udp_flow);
	__type(value, struct p4cats_udp_waiting);
} udp_flows SEC(".maps");

/* The network namespace this copy is attached in: set before loading (a helper
 * to ask for it in tc came only with Linux 6.15). */
const volatile __u32 netns = 0;

#define COUNT(reason) \
	do { \
		__u32 zero = 0; \
		struct p4cats_stats *s = bpf_map_lookup_elem(&stats, &zero); \
		if (s) \
			s->reason++; \
	} while (0)

/* The IPv6 header, or null. */
static __always_inline struct ipv6 *ipv6_header(struct __sk_buff *skb)
{
	struct ipv6 *ip = (void *)(long)skb->data + sizeof(struct ethernet);

	if (skb->protocol != bpf_htons(ETH_P_IPV6) || (void *)(ip + 1) > (void *)(long)skb->data_end)
		return 0;
	return ip;
}

static __always_inline void service_at(struct p4cats_service *key, const __u8 *address)
{
	key->netns = netns;
	__builtin_memcpy(key->address, address, sizeof(key->address));
}

/* max(0, in_flight + 1 - workers) * service_time / workers: how long one more request would
 * wait for a worker, were it to come now. p4cats.ebpf.normalise.expected_wait_us is the same. */
static __always_inline __u32 expected_wait_us(const struct p4cats_instance *i, __u32 in_flight)
{
	__u64 wait;

	if (!i->workers || !i->service_time_us)
		return 0xFFFFFFFF;
	if (in_flight + 1 <= i->workers)
		return 0;
	wait = (__u64)(in_flight + 1 - i->workers) * i->service_time_us / i->workers;
	return wait < 0xFFFFFFFE ? wait : 0xFFFFFFFE;
}

static __always_inline void udp_response(struct p4cats_counters *total, struct p4cats_udp_flow *flow)
{
	struct p4cats_udp_waiting *w = bpf_map_lookup_elem(&udp_flows, flow);
	__u64 started, now;

	if (!w || w->waiting <= 0)
		return; /* nobody asked: a push, or a further datagram of an answer */
	now = bpf_ktime_get_ns();
	started = w->started_ns;
	w->active_ns = now;
	if (__sync_fetch_and_add(&w->waiting, -1) <= 0) {
		__sync_fetch_and_add(&w->waiting, 1); /* another CPU was first */
		return;
	}
	__sync_fetch_and_add(&total->udp_responses, 1);
	if (!started)
		return;
	w->started_ns = 0;
	__sync_fetch_and_add(&total->served_ns, now - started);
	__sync_fetch_and_add(&total->served, 1);
}

SEC("tc")
int stamp(struct __sk_buff *skb)
{
	struct ipv6 *ip = ipv6_header(skb);
	struct metric_header option = {};
	struct p4cats_udp_flow flow = {};
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	__u32 in_flight, mtu = 0;
	__u16 length;

	if (!ip) {
		COUNT(not_service);
		return TC_ACT_UNSPEC;
	}
	service_at(&flow.service, ip->source);
	instance = bpf_map_lookup_elem(&instances, &flow.service);
	total = bpf_map_lookup_elem(&counters, &flow.service);
	if (!instance || !total) {
		COUNT(not_service);
		return TC_ACT_UNSPEC;
	}

	if (ip->next_header == NEXT_UDP) {
		struct udp *udp = (void *)(ip + 1);

		if ((void *)(udp + 1) > (void *)(long)skb->data_end) {
			COUNT(not_transport);
			return TC_ACT_UNSPEC;
		}
		if (udp->destination != bpf_htons(CATS_BEACON_PORT)) {
			__builtin_memcpy(flow.client, ip->destination, sizeof(flow.client));
			flow.client_port = udp->destination;
			flow.service_port = udp->source;
			udp_response(total, &flow);
		}
	} else if (ip->next_header == NEXT_HOP_BY_HOP) {
		COUNT(has_hbh);
		return TC_ACT_UNSPEC;
	} else if (ip->next_header != NEXT_TCP) {
		COUNT(not_transport);
		return TC_ACT_UNSPEC;
	}

	if (instance->valid_until_ns < bpf_ktime_get_ns()) {
		COUNT(stale);
		return TC_ACT_UNSPEC;
	}
	/* GSO packets are cut after this, their segments shortened to make room. */
	length = bpf_ntohs(ip->payload_length);
	if (length > 0xFFFF - CATS_HBH_BYTES ||
	    (!skb->gso_size && instance->path_mtu &&
	     length + sizeof(*ip) + CATS_HBH_BYTES > instance->path_mtu) ||
	    bpf_check_mtu(skb, 0, &mtu, CATS_HBH_BYTES, 0)) {
		COUNT(no_room);
		return TC_ACT_UNSPEC;
	}
	option.next_header = ip->next_header;

	/* Opens a gap behind the IPv6 header; packet pointers are void after it. */
	if (bpf_skb_adjust_room(skb, CATS_HBH_BYTES, BPF_ADJ_ROOM_NET, 0)) {
		COUNT(not_grown);
		return TC_ACT_UNSPEC;
	}

	in_flight = p4cats_in_flight(total, instance->udp_aged);
	option.ext_length = CATS_HBH_EXT_LENGTH;
	option.type = CATS_OPTION_TYPE;
	option.length = CATS_OPTION_LENGTH;
	option.magic = bpf_htons(CATS_MAGIC);
	option.version_flags = CATS_VERSION << 4;
	option.instance = bpf_htonl(instance->instance);
	option.norm_fi = instance->norm_fi;
	option.compute = instance->compute;
	option.communication = instance->communication;
	option.service = instance->service;
	option.composed = instance->composed;
	option.in_flight = bpf_htons(in_flight < 0xFFFE ? in_flight : 0xFFFE);
	option.wait_us = bpf_htonl(expected_wait_us(instance, in_flight));
	option.power_mw = bpf_htonl(instance->power_mw);
	option.sequence = bpf_htonl(__sync_fetch_and_add(&total->sequence, 1) + 1);

	ip = ipv6_header(skb);
	if (!ip)
		return TC_ACT_UNSPEC;
	ip->next_header = NEXT_HOP_BY_HOP;
	ip->payload_length = bpf_htons(length + CATS_HBH_BYTES);
	bpf_skb_store_bytes(skb, sizeof(struct ethernet) + sizeof(*ip), &option, sizeof(option), 0);
	COUNT(stamped);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int requests(struct __sk_buff *skb)
{
	struct ipv6 *ip = ipv6_header(skb);
	struct p4cats_udp_waiting *w, fresh = {};
	struct p4cats_udp_flow flow = {};
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	struct udp *udp;
	__u64 now, started;

	if (!ip || ip->next_header != NEXT_UDP)
		return TC_ACT_UNSPEC;
	udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > (void *)(long)skb->data_end)
		return TC_ACT_UNSPEC;
	service_at(&flow.service, ip->destination);
	instance = bpf_map_lookup_elem(&instances, &flow.service);
	total = bpf_map_lookup_elem(&counters, &flow.service);
	if (!instance || !total || (instance->port && udp->destination != bpf_htons(instance->port)))
		return TC_ACT_UNSPEC;

	__builtin_memcpy(flow.client, ip->source, sizeof(flow.client));
	flow.client_port = udp->source;
	flow.service_port = udp->destination;
	now = bpf_ktime_get_ns();
	/* Timed only if a worker is free, so that no waiting is taken for service. */
	started = p4cats_in_flight(total, instance->udp_aged) < instance->workers ? now : 0;

	w = bpf_map_lookup_elem(&udp_flows, &flow);
	if (!w) {
		bpf_map_update_elem(&udp_flows, &flow, &fresh, BPF_NOEXIST);
		w = bpf_map_lookup_elem(&udp_flows, &flow);
		if (!w) {
			COUNT(udp_untracked);
			return TC_ACT_UNSPEC;
		}
	}
	w->active_ns = now;
	w->started_ns = __sync_fetch_and_add(&w->waiting, 1) == 0 ? started : 0;
	__sync_fetch_and_add(&total->udp_requests, 1);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
