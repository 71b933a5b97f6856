/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * stamp: tc (clsact) programs on the interface of a host that serves (docs/protocol.md, 3 to 5).
 *
 * egress   IPv6 TCP and UDP packets whose source is a service address get a Hop-by-Hop
 *          header with the CATS metric option: what user space knows of the instance, requests
 *          in flight and expected wait as of this packet, sequence number and MAC. The
 *          segments cut from one GSO packet carry the same sequence number and MAC.
 * ingress  counts UDP requests (egress: the responses that answer them), and notes path
 *          MTUs that routers tell.
 *
 * Both watch the expected wait: when it is no longer what the last beacon said, user space is
 * woken once, to send the next.
 *
 * A packet is left as it is, and counted under the reason, when the option would not fit the MTU,
 * when it has an extension header (RFC 8200 allows one Hop-by-Hop header; on a fragment, the stamp
 * would be on the first only), when it is to be cut into UDP datagrams (GSO), when keys are in use
 * and there is none, and when the agent has not refreshed its values in time. Checksums stay right: neither pseudo-header field changes.
 * Needs Linux 5.12 (bpf_check_mtu, atomics with fetch, coarse time).
 */
#include "packet.h"
#include "halfsiphash.h"
#include "shared_maps.h"

#define ICMPV6_PACKET_TOO_BIG 2
#define MIN_MTU 1280 /* of any IPv6 link (RFC 8200, 5) */
#define PATH_MTU_LIFETIME_NS (600ULL * 1000000000) /* RFC 8201, 4 */
#define UNKNOWN 0xFFFFFFFF
#define LAST_SEQUENCE 0xFFFFFFFF

struct fragment {
	__u8 next_header, reserved;
	__be16 offset_more;
	__be32 identification;
};

struct udp {
	__be16 source, destination, length, checksum;
};

struct tcp {
	__be16 source, destination;
	__be32 sequence, acknowledgement;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__u8 reserved : 4, data_offset : 4;
#else
	__u8 data_offset : 4, reserved : 4;
#endif
	__u8 flags;
	__be16 window, checksum, urgent;
};

struct packet_too_big { /* ICMPv6 (RFC 4443, 3.2) with the head of the packet that was too big */
	__u8 type, code;
	__be16 checksum;
	__be32 mtu;
	struct ipv6 quoted;
};

_Static_assert(P4CATS_MAX_INSTANCES == CATS_INSTANCES, "instance ids");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct p4cats_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_INSTANCES);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* a key that was replaced stays whole while a stamp uses it */
	__type(key, __u32); /* instance id */
	__type(value, struct p4cats_key);
} keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_FLOWS);
	__type(key, struct p4cats_udp_flow);
	__type(value, struct p4cats_udp_waiting);
} udp_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, P4CATS_MAX_PATHS);
	__type(key, struct p4cats_service); /* the address is the destination's */
	__type(value, struct p4cats_path_mtu);
} path_mtus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16384); /* a record of 4 octets takes 16: room for one of every instance */
} changes SEC(".maps"); /* ids of instances that should send a beacon */

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

/* The UDP header of a datagram or of its first fragment, or null. */
static __always_inline struct udp *udp_header(struct ipv6 *ip, void *end)
{
	struct fragment *fragment = (void *)(ip + 1);
	struct udp *udp = (void *)(ip + 1);

	if (ip->next_header == NEXT_FRAGMENT) {
		if ((void *)(fragment + 1) > end || fragment->next_header != NEXT_UDP ||
		    fragment->offset_more & bpf_htons(0xFFF8))
			return 0;
		udp = (void *)(fragment + 1);
	} else if (ip->next_header != NEXT_UDP) {
		return 0;
	}
	return (void *)(udp + 1) > end ? 0 : udp;
}

/* Whether it is a TCP segment with data. */
static __always_inline int tcp_data(struct ipv6 *ip, void *end)
{
	struct tcp *tcp = (void *)(ip + 1);

	return ip->next_header == NEXT_TCP && (void *)(tcp + 1) <= end &&
	       bpf_ntohs(ip->payload_length) > tcp->data_offset * 4;
}

static __always_inline void service_at(struct p4cats_service *key, const __u8 *address)
{
	key->netns = netns;
	__builtin_memcpy(key->address, address, sizeof(key->address));
}

static __always_inline struct p4cats_counters *counters_of(const struct p4cats_instance *instance)
{
	__u32 number = instance->instance;

	return bpf_map_lookup_elem(&counters, &number);
}

static __always_inline __u32 service_time_us(const struct p4cats_instance *i, const struct p4cats_counters *c)
{
	__u64 measured = c->service_time_ns / 1000;

	if (!i->measure || !c->service_time_ns)
		return i->service_time_us;
	return !measured ? 1 : measured < UNKNOWN ? measured : UNKNOWN - 1;
}

/* max(0, in_flight + 1 - workers) * service_time / workers: how long one more request would
 * wait for a worker, were it to come now. p4cats.ebpf.normalise.expected_wait_us is the same. */
static __always_inline __u32 expected_wait_us(const struct p4cats_instance *i, const struct p4cats_counters *c,
					      __u32 in_flight)
{
	__u32 service_time = service_time_us(i, c);
	__u64 wait;

	if (!i->workers || !service_time)
		return UNKNOWN;
	if (in_flight + 1 <= i->workers)
		return 0;
	wait = (__u64)(in_flight + 1 - i->workers) * service_time / i->workers;
	return wait < UNKNOWN - 1 ? wait : UNKNOWN - 1;
}

/* Wake user space if a wait is not what the last beacon told: more than an eighth off, or become
 * zero or no longer zero. Once; the next beacon arms it again. */
static __always_inline void watch(struct p4cats_counters *total, __u32 number, __u32 wait)
{
	__u32 told = total->told_wait_us;
	__u64 off = wait > told ? wait - told : told - wait;

	if (!off || total->change_told || (wait && told && off * 8 <= told))
		return;
	if (__sync_lock_test_and_set(&total->change_told, 1))
		return; /* another CPU was first */
	if (bpf_ringbuf_output(&changes, &number, sizeof(number), 0))
		total->change_told = 0;
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
	p4cats_served(total, now - started);
}

/* Whether a packet with the option still goes through interface and path. TCP segments
 * of a GSO packet are cut after this and shortened to make room. */
static __always_inline int has_room(struct __sk_buff *skb, const struct p4cats_instance *instance,
				    const struct ipv6 *ip)
{
	__u32 size = bpf_ntohs(ip->payload_length) + sizeof(*ip) + CATS_HBH_BYTES, mtu = 0;
	struct p4cats_service path = {};
	struct p4cats_path_mtu *known;

	if (size - sizeof(*ip) > 0xFFFF)
		return 0;
	if (skb->gso_size)
		return 1;
	if (instance->path_mtu && size > instance->path_mtu)
		return 0;
	if (size > MIN_MTU) {
		service_at(&path, ip->destination);
		known = bpf_map_lookup_elem(&path_mtus, &path);
		if (known && size > known->mtu && bpf_ktime_get_coarse_ns() < known->until_ns)
			return 0;
	}
	return !bpf_check_mtu(skb, 0, &mtu, CATS_HBH_BYTES, 0);
}

/* What a packet may be stamped with: everything but the next header. */
static __always_inline void fill(struct metric_header *option, const struct p4cats_instance *instance,
				 __u32 in_flight, __u32 wait, const struct p4cats_key *key, __u32 sequence)
{
	option->ext_length = CATS_HBH_EXT_LENGTH;
	option->option_type = CATS_OPTION_TYPE;
	option->option_length = CATS_OPTION_LENGTH;
	option->magic = bpf_htons(CATS_MAGIC);
	option->version_flags = CATS_VERSION << 4 | instance->flags;
	option->key_id = key->key_id;
	option->instance = bpf_htonl(instance->instance);
	option->norm_fi = instance->norm_fi;
	option->compute = instance->compute;
	option->communication = instance->communication;
	option->service = instance->service;
	option->composed = instance->composed;
	option->in_flight = bpf_htons(in_flight < 0xFFFE ? in_flight : 0xFFFE);
	option->expected_wait_us = bpf_htonl(wait);
	option->power_mw = bpf_htonl(instance->power_mw);
	option->sequence = bpf_htonl(sequence);
}

SEC("tc")
int stamp(struct __sk_buff *skb)
{
	struct ipv6 *ip = ipv6_header(skb);
	struct metric_header option = {};
	struct p4cats_udp_flow flow = {};
	struct mac_input input = {};
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	__u32 in_flight, wait, number;
	struct p4cats_key *key;
	int beacon = 0;
	__u64 sequence;
	struct udp *udp;
	__u16 length;

	if (!ip) {
		COUNT(not_service);
		return TC_ACT_UNSPEC;
	}
	service_at(&flow.service, ip->source);
	instance = bpf_map_lookup_elem(&instances, &flow.service);
	total = instance ? counters_of(instance) : 0;
	if (!instance || !total) {
		COUNT(not_service);
		return TC_ACT_UNSPEC;
	}

	udp = udp_header(ip, (void *)(long)skb->data_end);
	if (udp) {
		beacon = udp->destination == bpf_htons(CATS_BEACON_PORT);
		if (!beacon) {
			__builtin_memcpy(flow.client, ip->destination, sizeof(flow.client));
			flow.client_port = udp->destination;
			flow.service_port = udp->source;
			udp_response(total, &flow);
		}
	}
	in_flight = p4cats_in_flight(total, instance->udp_aged);
	wait = expected_wait_us(instance, total, in_flight);
	if (!beacon)
		watch(total, instance->instance, wait);

	switch (ip->next_header) {
	case NEXT_TCP:
		break;
	case NEXT_UDP:
		if (udp)
			break;
		COUNT(not_transport); /* cut short */
		return TC_ACT_UNSPEC;
	case NEXT_HOP_BY_HOP:
		COUNT(has_hbh);
		return TC_ACT_UNSPEC;
	case NEXT_FRAGMENT:
		COUNT(fragment);
		return TC_ACT_UNSPEC;
	case NEXT_ROUTING:
	case NEXT_AUTHENTICATION:
	case NEXT_DESTINATION_OPTIONS:
		COUNT(has_extension);
		return TC_ACT_UNSPEC;
	default:
		COUNT(not_transport);
		return TC_ACT_UNSPEC;
	}
	if (instance->valid_until_ns < bpf_ktime_get_coarse_ns()) {
		COUNT(stale);
		return TC_ACT_UNSPEC;
	}
	number = instance->instance;
	key = bpf_map_lookup_elem(&keys, &number);
	if (!key) {
		COUNT(no_key);
		return TC_ACT_UNSPEC;
	}
	if (udp && skb->gso_size) {
		/* Its datagrams cannot be shortened, and Linux drops what it has to cut in software
		 * behind an extension header (seen with 6.18). */
		COUNT(udp_gso);
		return TC_ACT_UNSPEC;
	}
	if (!has_room(skb, instance, ip)) {
		COUNT(no_room);
		return TC_ACT_UNSPEC;
	}
	/* 64 bits: does not come round to 0, however often it is tried. */
	sequence = __sync_fetch_and_add(&key->sequence, 1) + 1;
	if (sequence > LAST_SEQUENCE) {
		COUNT(exhausted);
		return TC_ACT_UNSPEC;
	}

	option.next_header = ip->next_header;
	fill(&option, instance, in_flight, wait, key, sequence);
	if (key->key_id) {
		__builtin_memcpy(input.option, &option.magic, sizeof(input.option));
		__builtin_memcpy(input.destination, ip->destination, sizeof(input.destination));
		halfsiphash(key->key, (const __u32 *)&input, CATS_MAC_INPUT_BYTES / 4, option.mac);
	}
	length = bpf_ntohs(ip->payload_length);
	/* Opens a gap behind the IPv6 header; packet pointers are void after it. */
	if (bpf_skb_adjust_room(skb, CATS_HBH_BYTES, BPF_ADJ_ROOM_NET, 0)) {
		COUNT(not_grown);
		return TC_ACT_UNSPEC;
	}
	ip = ipv6_header(skb);
	if (!ip)
		return TC_ACT_UNSPEC;
	ip->next_header = NEXT_HOP_BY_HOP;
	ip->payload_length = bpf_htons(length + CATS_HBH_BYTES);
	bpf_skb_store_bytes(skb, sizeof(struct ethernet) + sizeof(*ip), &option, sizeof(option), 0);
	COUNT(stamped);
	__sync_fetch_and_add(&total->stamped, 1);
	if (beacon) {
		total->told_wait_us = wait;
		total->change_told = 0;
	}
	return TC_ACT_UNSPEC;
}

static __always_inline void note_path_mtu(struct ipv6 *ip, void *end)
{
	struct packet_too_big *icmp = (void *)(ip + 1);
	struct p4cats_path_mtu known = {};
	struct p4cats_service path = {};

	if ((void *)(icmp + 1) > end || icmp->type != ICMPV6_PACKET_TOO_BIG)
		return;
	service_at(&path, icmp->quoted.source);
	if (!bpf_map_lookup_elem(&instances, &path))
		return;
	service_at(&path, icmp->quoted.destination);
	known.until_ns = bpf_ktime_get_coarse_ns() + PATH_MTU_LIFETIME_NS;
	known.mtu = bpf_ntohl(icmp->mtu);
	bpf_map_update_elem(&path_mtus, &path, &known, BPF_ANY);
}

static __always_inline void udp_request(struct p4cats_instance *instance, struct p4cats_counters *total,
					struct p4cats_udp_flow *flow)
{
	struct p4cats_udp_waiting *w, fresh = {};
	__u64 now = bpf_ktime_get_ns(), started;

	/* Timed only if a worker is free, so that no waiting is taken for service. */
	started = p4cats_in_flight(total, instance->udp_aged) < instance->workers ? now : 0;
	w = bpf_map_lookup_elem(&udp_flows, flow);
	if (!w) {
		bpf_map_update_elem(&udp_flows, flow, &fresh, BPF_NOEXIST);
		w = bpf_map_lookup_elem(&udp_flows, flow);
		if (!w) {
			COUNT(udp_untracked);
			return;
		}
	}
	w->active_ns = now;
	w->started_ns = __sync_fetch_and_add(&w->waiting, 1) == 0 ? started : 0;
	__sync_fetch_and_add(&total->udp_requests, 1);
}

SEC("tc")
int requests(struct __sk_buff *skb)
{
	struct ipv6 *ip = ipv6_header(skb);
	struct p4cats_udp_flow flow = {};
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	struct udp *udp;

	if (!ip)
		return TC_ACT_UNSPEC;
	if (ip->next_header == NEXT_ICMPV6) {
		note_path_mtu(ip, (void *)(long)skb->data_end);
		return TC_ACT_UNSPEC;
	}
	udp = udp_header(ip, (void *)(long)skb->data_end);
	if (!udp && !tcp_data(ip, (void *)(long)skb->data_end))
		return TC_ACT_UNSPEC;
	service_at(&flow.service, ip->destination);
	instance = bpf_map_lookup_elem(&instances, &flow.service);
	total = instance ? counters_of(instance) : 0;
	if (!instance || !total)
		return TC_ACT_UNSPEC;
	if (udp) {
		if (instance->port && udp->destination != bpf_htons(instance->port))
			return TC_ACT_UNSPEC;
		__builtin_memcpy(flow.client, ip->source, sizeof(flow.client));
		flow.client_port = udp->source;
		flow.service_port = udp->destination;
		udp_request(instance, total, &flow);
	}
	/* TCP connections are counted in sense; with its first data a new one shows here. */
	watch(total, instance->instance,
	      expected_wait_us(instance, total, p4cats_in_flight(total, instance->udp_aged)));
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
