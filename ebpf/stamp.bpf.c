/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * stamp: tc (clsact) programs on the interface of a host that serves (docs/protocol.md, 3 to 5).
 *
 * egress   IPv6 TCP and UDP packets whose source is a service address get a Hop-by-Hop
 *          header with the CATS metric option: what user space knows of the instance, requests
 *          in flight and expected wait as of this packet, sequence number and MAC. The
 *          segments cut from one GSO packet carry the same sequence number and MAC.
 * ingress  counts UDP requests, and exchanges on TCP connections where they are the requests (egress:
 *          the responses that answer them), and notes path MTUs that routers tell.
 *
 * Both watch the expected wait: when it is no longer what the last beacon said, user space is
 * woken once, to send the next.
 *
 * A packet is left as it is, and counted under the reason, when the option would not fit the MTU,
 * when it has an extension header (RFC 8200 allows one Hop-by-Hop header; on a fragment, the stamp
 * would be on the first only), when it is to be cut into UDP datagrams (GSO), when keys are in use
 * and there is none, and when the agent has not refreshed its values in time. Checksums stay right: neither pseudo-header field changes.
 * Needs Linux 5.13 (bpf_check_mtu, atomics with fetch, coarse time, bpf_for_each_map_elem).
 */
#include "packet.h"
#include "halfsiphash.h"
#include "shared_maps.h"

#define ICMPV6_PACKET_TOO_BIG 2
#define MIN_MTU 1280 /* of any IPv6 link (RFC 8200, 5) */
#define PATH_MTU_LIFETIME_NS (600ULL * 1000000000) /* RFC 8201, 4 */
#define UNKNOWN 0xFFFFFFFF
#define LAST_SEQUENCE 0xFFFFFFFF
#define TCP_FIN 1
#define TCP_RST 4
#define TRIES 4 /* to change a word that another CPU changes too */

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

/* Who waits for whom: a client's socket and a service. Ports in network order. */
struct flow {
	struct p4cats_service service;
	__u8 client[16];
	__u16 client_port, service_port;
};

#define FLOW_WORDS (sizeof(struct flow) / 4)
_Static_assert(FLOW_WORDS == 10, "pairs of words");

/* An entry's word in flows: the hash's upper bits, the protocol, the instance, and how many requests wait: never 0
 * in an entry that is taken. The lowest bit of since_ns: the request that waits is the only one, and found a
 * free worker. A flow whose set is full goes into the neighbouring one; a flow may be in both. */
#define WAITING_BITS 13
#define MANY_WAITING ((1ULL << WAITING_BITS) - 1)
#define TCP_FLOW (1ULL << (WAITING_BITS + 10)) /* at most one waits */
#define TAG_SHIFT (WAITING_BITS + 11)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, P4CATS_MAX_INSTANCES);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* a key that was replaced stays whole while a stamp uses it */
	__type(key, __u32); /* instance id */
	__type(value, struct p4cats_key);
} keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2); /* as many as flow_sets */
	__type(key, __u32);
	__type(value, struct p4cats_set);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, P4CATS_MAX_PATHS);
	__type(key, struct p4cats_service); /* the address is the destination's */
	__type(value, struct p4cats_path_mtu);
} path_mtus SEC(".maps");

/* The network namespace this copy is attached in: set before loading (a helper
 * to ask for it in tc came only with Linux 6.15). */
const volatile __u32 netns = 0;

/* Random numbers, the same in every copy: nobody outside can aim at a set of flows. */
const volatile __u32 flow_keys[FLOW_WORDS] = {};
const volatile __u32 flow_sets = 2; /* a power of two */

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

static __always_inline struct tcp *tcp_header(struct ipv6 *ip, void *end)
{
	struct tcp *tcp = (void *)(ip + 1);

	return ip->next_header == NEXT_TCP && (void *)(tcp + 1) <= end ? tcp : 0;
}

static __always_inline int has_data(const struct tcp *tcp, const struct ipv6 *ip)
{
	return bpf_ntohs(ip->payload_length) > tcp->data_offset * 4;
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

/* NH of UMAC (Black et al., 1999; RFC 4418, 5.2), mixed so that every bit is as good as any other. */
static __always_inline __u64 flow_hash(const struct flow *flow)
{
	const __u32 *words = (const __u32 *)flow;
	__u64 hash = 0;

#pragma unroll
	for (int i = 0; i < FLOW_WORDS; i += 2)
		hash += (__u64)(__u32)(words[i] + flow_keys[i]) * (__u32)(words[i + 1] + flow_keys[i + 1]);
	hash ^= hash >> 32;
	hash *= 0x9E3779B97F4A7C15ULL;
	return hash ^ hash >> 32;
}

static __always_inline struct p4cats_set *flow_set(__u64 hash, __u32 neighbour)
{
	__u32 at = (hash & (flow_sets - 1)) ^ neighbour;

	return bpf_map_lookup_elem(&flows, &at);
}

/* The word of a flow of which nothing waits. */
static __always_inline __u64 flow_word(__u64 hash, __u64 protocol, __u32 instance)
{
	return hash >> TAG_SHIFT << TAG_SHIFT | protocol | (__u64)instance << WAITING_BITS;
}

static __always_inline struct p4cats_entry *flow_entry(struct p4cats_set *set, __u64 word)
{
#pragma unroll
	for (int i = 0; i < P4CATS_SET; i++)
		if ((set->entries[i].word ^ word) <= MANY_WAITING)
			return &set->entries[i];
	return 0;
}

/* The answer to one of a client's requests, or to none (a push, or more of an answer). */
static __always_inline void answer(const struct p4cats_instance *instance, struct p4cats_counters *total,
				   const struct flow *flow, __u64 protocol)
{
	__u64 hash = flow_hash(flow), word = flow_word(hash, protocol, instance->instance), was, since_ns;
	struct p4cats_set *set = flow_set(hash, 0);
	struct p4cats_entry *entry = set ? flow_entry(set, word) : 0;
	int last;

	if (!entry) {
		set = flow_set(hash, 1);
		entry = set ? flow_entry(set, word) : 0;
	}
	if (!entry)
		return;
#pragma unroll
	for (int try = 0; try < TRIES; try++) {
		was = entry->word;
		since_ns = entry->since_ns;
		last = (was ^ word) == 1;
		if ((was ^ word) > MANY_WAITING)
			return; /* answered on another CPU */
		if (__sync_val_compare_and_swap(&entry->word, was, last ? 0 : was - 1) != was)
			continue;
		__sync_fetch_and_add(protocol ? &total->tcp_closed : &total->udp_responses, 1);
		if (last && since_ns & 1)
			p4cats_served(total, bpf_ktime_get_ns() - since_ns);
		else if (!last)
			entry->since_ns = bpf_ktime_get_coarse_ns() & ~1ULL;
		return;
	}
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
	struct flow flow = {};
	struct mac_input input = {};
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	__u32 in_flight, wait, number;
	struct p4cats_key *key;
	int beacon = 0;
	__u64 sequence;
	struct tcp *tcp;
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
			answer(instance, total, &flow, 0);
		}
	} else if (instance->exchanges) {
		tcp = tcp_header(ip, (void *)(long)skb->data_end);
		if (tcp && (has_data(tcp, ip) || tcp->flags & (TCP_FIN | TCP_RST))) {
			__builtin_memcpy(flow.client, ip->destination, sizeof(flow.client));
			flow.client_port = tcp->destination;
			flow.service_port = tcp->source;
			answer(instance, total, &flow, TCP_FLOW);
		}
	}
	in_flight = p4cats_in_flight(total);
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
		__sync_lock_test_and_set(&total->change_told, 0);
		/* A packet on another CPU that found it told, as this one was made, has told nobody. */
		watch(total, instance->instance, expected_wait_us(instance, total, p4cats_in_flight(total)));
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

static __always_inline int wait_in(struct p4cats_set *set, __u64 word, int timed)
{
	struct p4cats_entry *entry = flow_entry(set, word);
	__u64 was;

#pragma unroll
	for (int try = 0; entry && try < TRIES; try++) {
		was = entry->word;
		if ((was ^ word) >= MANY_WAITING)
			break; /* answered on another CPU just now */
		if (__sync_val_compare_and_swap(&entry->word, was, was + 1) == was) {
			entry->since_ns = bpf_ktime_get_coarse_ns() & ~1ULL;
			return 1;
		}
	}
#pragma unroll
	for (int i = 0; i < P4CATS_SET; i++) {
		entry = &set->entries[i];
		if (entry->word || __sync_val_compare_and_swap(&entry->word, 0, word + 1))
			continue;
		entry->since_ns = timed ? bpf_ktime_get_ns() | 1 : bpf_ktime_get_coarse_ns() & ~1ULL;
		return 1;
	}
	return 0;
}

/* Timed only if a worker is free, so that no waiting is taken for service. Counted first: what writes to a
 * line that another CPU has written had better begin with it. */
static __always_inline void ask(const struct p4cats_instance *instance, struct p4cats_counters *total,
				const struct flow *flow, __u64 protocol)
{
	__u64 hash = flow_hash(flow), word = flow_word(hash, protocol, instance->instance);
	__u64 *asked = protocol ? &total->tcp_opened : &total->udp_requests;
	struct p4cats_set *set = flow_set(hash, 0), *neighbour = flow_set(hash, 1);
	int timed;

	if (!set || !neighbour)
		return;
	if (protocol && (flow_entry(set, word) || flow_entry(neighbour, word)))
		return; /* more of the same request */
	__sync_fetch_and_add(asked, 1);
	timed = p4cats_in_flight(total) <= instance->workers;
	if (wait_in(set, word, timed) || wait_in(neighbour, word, timed))
		return;
	__sync_fetch_and_add(asked, -1);
	COUNT(untracked);
}

SEC("tc")
int requests(struct __sk_buff *skb)
{
	struct ipv6 *ip = ipv6_header(skb);
	struct p4cats_instance *instance;
	struct p4cats_counters *total;
	void *end = (void *)(long)skb->data_end;
	struct flow flow = {};
	struct udp *udp;
	struct tcp *tcp;

	if (!ip)
		return TC_ACT_UNSPEC;
	if (ip->next_header == NEXT_ICMPV6) {
		note_path_mtu(ip, end);
		return TC_ACT_UNSPEC;
	}
	udp = udp_header(ip, end);
	tcp = tcp_header(ip, end);
	if (!udp && !(tcp && (has_data(tcp, ip) || tcp->flags & TCP_RST)))
		return TC_ACT_UNSPEC;
	service_at(&flow.service, ip->destination);
	instance = bpf_map_lookup_elem(&instances, &flow.service);
	total = instance ? counters_of(instance) : 0;
	if (!instance || !total)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(flow.client, ip->source, sizeof(flow.client));
	flow.client_port = udp ? udp->source : tcp->source;
	flow.service_port = udp ? udp->destination : tcp->destination;
	if (instance->port && flow.service_port != bpf_htons(instance->port))
		return TC_ACT_UNSPEC;
	if (udp)
		ask(instance, total, &flow, 0);
	else if (instance->exchanges && tcp->flags & TCP_RST)
		answer(instance, total, &flow, TCP_FLOW);
	else if (instance->exchanges)
		ask(instance, total, &flow, TCP_FLOW);
	/* Connections are counted in sense; with its first data a new one shows here. */
	watch(total, instance->instance, expected_wait_us(instance, total, p4cats_in_flight(total)));
	return TC_ACT_UNSPEC;
}

struct bpf_map;

static long age_set(struct bpf_map *map, const __u32 *at, struct p4cats_set *set, const __u64 *before_ns)
{
	struct p4cats_counters *total;
	struct p4cats_entry *entry;
	__u32 number;
	__u64 was;

	for (int i = 0; i < P4CATS_SET; i++) {
		entry = &set->entries[i];
		was = entry->word;
		if (!was || entry->since_ns >= *before_ns ||
		    __sync_val_compare_and_swap(&entry->word, was, 0) != was)
			continue;
		number = was >> WAITING_BITS & (P4CATS_MAX_INSTANCES - 1);
		total = bpf_map_lookup_elem(&counters, &number);
		if (total)
			__sync_fetch_and_add(was & TCP_FLOW ? &total->tcp_closed : &total->udp_aged,
					     was & MANY_WAITING);
	}
	return 0;
}

/* Run by user space from time to time: gives up what has waited since before the time that the "packet" is,
 * behind an Ethernet header. */
SEC("tc")
int age(struct __sk_buff *skb)
{
	__u64 before_ns;

	if (bpf_skb_load_bytes(skb, sizeof(struct ethernet), &before_ns, sizeof(before_ns)))
		return -1;
	bpf_for_each_map_elem(&flows, age_set, &before_ns, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
