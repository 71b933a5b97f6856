/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * steer: tc (clsact) programs on the interface of a host that asks: an ingress CATS-Forwarder on the
 * client itself, for networks whose first switch is none. The same formats, tests, policies and affinity as
 * edge.p4 (docs/protocol.md, 2, 3.3, 5 and 6; p4src/include/{affinity,selection,metrics}.p4); a test
 * sends the same packets through both.
 *
 * egress   packets to a service address get an outer IPv6 header to the SID of the instance that their
 *          flow belongs to (H.Encaps.Red, RFC 8986, 5.2). What cannot be placed is dropped and counted, as a
 *          service address is routed nowhere.
 * ingress  responses and beacons with the CATS metric option: check, learn, blank; beacons end here.
 *
 * User space says what there is to choose from (services, instances, keys); flows and loads are written by the
 * programs alone. Processors race for the same entry as they do in a P4 register: the last one wins, and
 * a flow is placed by one of them.
 */
#include "packet.h"
#include "halfsiphash.h"

#define TCP_SYN 0x02
#define TCP_HEADER 20
#define HOP_LIMIT 64

#define WAIT_LIMIT_US 0xFFFFFFu
#define WAIT_UNKNOWN 0xFFFFFFFFu
#define UNKEYED_SEQUENCE_US 1000000
#ifndef STEER_NOW_US
#define STEER_NOW_US (bpf_ktime_get_ns() / 1000) /* a test sets its own clock */
#endif

#define FLOW_BUCKETS 131072
#define FLOW_WAYS 4
#define TICKS_MASK 0x1FFFFFu /* of 2^14 microseconds */
#define OVERTAKEN 64
#define UNCONFIRMED_TICKS 184
#define FREE TICKS_MASK

struct segment_routing { /* RFC 8754, 2, with one segment */
	__u8 next_header, ext_length, routing_type, segments_left, last_entry, flags;
	__be16 tag;
	__u8 segment[16];
};

struct steer_candidate {
	__u32 path_delay_us, fallback_wait_us, wait_step_us; /* below 2^24 */
	__u16 instance, weight;
};

/* A service as this host sees it; the key is its address. Candidates are in the order of their slots. */
struct steer_service {
	__u64 load_ttl_us, dead_after_us, affinity_timeout_us;
	__u32 total_weight; /* of all candidates, for `static` */
	__u32 spread_us;
	__u16 id;           /* below 1024 */
	__u8 policy, compute_weight, network_weight, candidates;
	__u8 reserved[2];
	struct steer_candidate candidate[CATS_CANDIDATES];
};

/* How an instance is reached; the key is its id. */
struct steer_instance {
	__u8 sid[16];
	__u8 via[16]; /* another segment on the way, if has_via */
	__u8 living;  /* flows may stay with it */
	__u8 has_via;
};

struct steer_key_id {
	__u16 instance;
	__u8 key_id;
	__u8 reserved;
};

struct steer_key {
	__u32 key[2]; /* eight octets */
	__u8 source[16];
};

/* The load of an instance as packets told it. */
struct steer_load {
	__u64 learned_us; /* CLOCK_MONOTONIC; 0: never, or the instance drains */
	__u64 last;       /* key id and sequence number last accepted, above them 1: one was accepted */
	__u32 wait_us;
	__u32 reserved;
};

struct steer_bucket {
	__u64 entry[FLOW_WAYS]; /* tag 32, instance 10, confirmed 1, time 21 */
};

/* Packets steered to an instance and flows placed there. */
struct steer_counts {
	__u64 steered, placed;
};

/* What became of other packets. Those of options are the counters of docs/protocol.md, 3.3. */
struct steer_stats {
	__u64 no_instance; /* dropped: no candidate */
	__u64 not_grown;   /* dropped: the outer header would pass the interface's MTU, or no memory */
	__u64 learned, malformed, unknown_instance, no_key, misdirected, repeated, stale, forged;
};

/* Without preallocation an entry that was replaced stays whole while a packet uses it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u8[16]);
	__type(value, struct steer_service);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CATS_INSTANCES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct steer_instance);
} instances SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct steer_key_id);
	__type(value, struct steer_key);
} metric_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CATS_INSTANCES);
	__type(key, __u32);
	__type(value, struct steer_load);
} loads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOW_BUCKETS);
	__type(key, __u32);
	__type(value, struct steer_bucket);
} flows SEC(".maps");

/* Flows of a service that `least` has placed: window of 2^20 us (28 bits), in it (18), in the one before (18). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} service_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CATS_INSTANCES);
	__type(key, __u32);
	__type(value, struct steer_counts);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_stats);
} stats SEC(".maps");

/* This host's address, the source of its tunnels; beacons come to it. Set before loading. */
const volatile __u32 headend[4] = {};

/* CRC-32 (IEEE 802.3): of an octet, and of an octet with one to three zeros behind it. Set before loading. */
const volatile __u32 crc_table[4][256] = {};

#define COUNT(reason) \
	do { \
		__u32 zero = 0; \
		struct steer_stats *counted = bpf_map_lookup_elem(&stats, &zero); \
		if (counted) \
			counted->reason++; \
	} while (0)

/* Word by word: of what is volatile the compiler must not guess the value. */
static __always_inline void read_headend(__u8 *address)
{
	for (int i = 0; i < 4; i++) {
		__u32 part = headend[i];

		__builtin_memcpy(address + 4 * i, &part, sizeof(part));
	}
}

static __always_inline __u32 word(const __u8 *address, int number)
{
	__u32 value;

	__builtin_memcpy(&value, address + 4 * number, 4);
	return bpf_ntohl(value);
}

static __always_inline int same_address(const __u8 *a, const __u8 *b)
{
	return word(a, 0) == word(b, 0) && word(a, 1) == word(b, 1) && word(a, 2) == word(b, 2) &&
	       word(a, 3) == word(b, 3);
}

/* -- Choosing ------------------------------------------------------------------------------------- */

struct flow {
	__u32 hash, tag;
	__u32 ticks, timeout; /* now, and after how long the flow is forgotten, in units of 2^14 us */
	__u8 next_header;
	__u8 opens;     /* a SYN, or no TCP at all: nothing was sent of this flow before */
	__u8 confirms;  /* no SYN */
	__u8 stateless; /* what changes between packets must not matter */
	__u8 placed;    /* by this packet */
};

static __always_inline __u32 crc32_octet(__u32 crc, __u8 octet)
{
	return crc >> 8 ^ crc_table[0][(crc ^ octet) & 0xFF];
}

/* Of four octets at once, in their order in memory. */
static __always_inline __u32 crc32_word(__u32 crc, const __u8 *octets)
{
	__u32 value;

	__builtin_memcpy(&value, octets, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value = __builtin_bswap32(value);
#endif
	value ^= crc;
	return crc_table[3][value & 0xFF] ^ crc_table[2][value >> 8 & 0xFF] ^
	       crc_table[1][value >> 16 & 0xFF] ^ crc_table[0][value >> 24];
}

static __always_inline void identify(struct flow *flow, const struct ipv6 *ip, __u32 ports)
{
	__u32 crc = ~0u;
	int i;

	for (i = 0; i < 32; i += 4)
		crc = crc32_word(crc, ip->source + i); /* the destination follows it */
	crc = crc32_octet(crc, ip->next_header);
	for (i = 24; i >= 0; i -= 8)
		crc = crc32_octet(crc, ports >> i);
	flow->hash = ~crc;
	flow->tag = word(ip->source, 0) + word(ip->source, 1) * 0x85ebca6b + word(ip->source, 2) * 0xc2b2ae35 +
		    (word(ip->source, 3) ^ word(ip->destination, 3)) * 0x27d4eb2f + ports * 0x9e3779b1;
}

struct place { /* of a flow in its bucket */
	__u32 way; /* FLOW_WAYS: the flow is not tracked */
	__u16 instance;
	__u8 confirmed;
	__u8 reserved;
};

/* Global functions are checked by the verifier one by one: what they branch on does not multiply. */
__attribute__((noinline)) int find(const struct steer_bucket *bucket, const struct flow *flow, struct place *place)
{
	__u32 oldest = 0;

	if (!bucket || !flow || !place)
		return 0;
	place->way = FLOW_WAYS;
	place->instance = place->confirmed = 0;
	for (__u32 i = 0; i < FLOW_WAYS; i++) {
		__u64 entry = bucket->entry[i];
		__u32 instance = entry >> 22 & 0x3FF, confirmed = entry >> 21 & 1;
		__u32 age = (flow->ticks + OVERTAKEN - (__u32)entry) & TICKS_MASK, limit = flow->timeout;

		if (!confirmed && limit > UNCONFIRMED_TICKS)
			limit = UNCONFIRMED_TICKS;
		if (instance && entry >> 32 == flow->tag && age <= flow->timeout + OVERTAKEN) {
			place->way = i;
			place->instance = instance;
			place->confirmed = confirmed;
			break;
		}
		if (!instance || age > limit + OVERTAKEN) {
			if (place->way == FLOW_WAYS || oldest != FREE) {
				place->way = i;
				oldest = FREE;
			}
		} else if (!confirmed && (place->way == FLOW_WAYS || age > oldest)) {
			place->way = i;
			oldest = age;
		}
	}
	return 0;
}

struct ranked {
	__u64 rank; /* lowest is best; the first bit: silent */
	__u64 cost; /* in microseconds; bit 32: silent */
	__u32 step_us;
	__u32 instance;
};

struct choice {
	__u64 now, spread_us, load_ttl_us, dead_after_us;
	__u32 hash, point;
	__u32 by_weight; /* 0: not yet */
	__u8 policy, compute_weight, network_weight;
	__u8 stateless, by_weight_silent;
	__u8 reserved[7];
	struct ranked first, second;
};

/* The wait of an instance as packets told it, `given_us` where that is too old or unknown; and whether the
 * instance is silent. */
static __always_inline __u32 believe(__u32 instance, const struct choice *choice, __u32 given_us, __u64 *silent)
{
	struct steer_load *load = bpf_map_lookup_elem(&loads, &instance);
	__u64 learned = load ? load->learned_us : 0;
	__u64 age = choice->now > learned ? choice->now - learned : 0; /* another processor may be ahead */

	*silent = age > choice->dead_after_us;
	if (!load || !learned || age > choice->load_ttl_us || load->wait_us > WAIT_LIMIT_US)
		return given_us;
	return load->wait_us;
}

static __always_inline __u64 spread(const struct steer_service *service, __u64 now)
{
	__u32 index = service->id & 1023;
	__u64 *flows_of = bpf_map_lookup_elem(&service_flows, &index);
	__u64 window = now >> 20 & 0xFFFFFFF, stored, count, before, product;

	if (!flows_of)
		return 0;
	stored = *flows_of;
	count = stored >> 18 & 0x3FFFF;
	before = stored & 0x3FFFF;
	if (window != stored >> 36) {
		before = window == ((stored >> 36) + 1 & 0xFFFFFFF) ? count : 0;
		count = 0;
	}
	if (count < 0x3FFFF)
		count++;
	*flows_of = window << 36 | count << 18 | before;
	if (count > before)
		before = count;
	product = before * service->spread_us;
	product = product > CATS_SPREAD_TIME_US ? product - CATS_SPREAD_TIME_US : 0;
	return product > WAIT_LIMIT_US ? WAIT_LIMIT_US : product;
}

static __always_inline int weighs(const struct choice *choice)
{
	return choice->policy >= CATS_POLICY_LEAST && !choice->stateless;
}

/* One candidate. */
__attribute__((noinline)) int consider(struct choice *choice, const struct steer_candidate *candidate)
{
	struct ranked this = {};
	__u64 silent, cost;
	__u32 score, wait;

	if (!choice || !candidate)
		return 0;
	wait = believe(candidate->instance, choice, candidate->fallback_wait_us, &silent);
	if (choice->stateless)
		silent = 0;
	if (choice->policy == CATS_POLICY_STATIC) {
		if (!choice->by_weight && choice->point < candidate->weight) {
			choice->by_weight = candidate->instance;
			choice->by_weight_silent = silent;
		} else if (!choice->by_weight) {
			choice->point -= candidate->weight;
		}
		silent |= !candidate->weight;
	}
	/* Rendezvous hashing: who is added or removed moves no flow of others. */
	score = (choice->hash ^ candidate->instance * 0x9e3779b1u) * 0x85ebca6bu;
	score = ~((score ^ score >> 15) * 0xc2b2ae35u);
	this.rank = silent << 63 | score;
	this.instance = candidate->instance;
	this.step_us = candidate->wait_step_us;
	if (weighs(choice)) {
		wait += (score >> 16) * choice->spread_us >> 16;
		if (wait > WAIT_LIMIT_US)
			wait = WAIT_LIMIT_US;
		cost = (__u64)choice->compute_weight * wait + (__u64)choice->network_weight * candidate->path_delay_us;
		if (cost > 0xFFFFFFFF)
			cost = 0xFFFFFFFF;
		this.cost = silent << 32 | cost;
		if (choice->policy == CATS_POLICY_LEAST)
			this.rank = silent << 63 | cost << 31 | score >> 1;
	}
	if (!choice->first.instance || this.rank < choice->first.rank) {
		choice->second = choice->first;
		choice->first = this;
	} else if (!choice->second.instance || this.rank < choice->second.rank) {
		choice->second = this;
	}
	return 0;
}

static __always_inline __u32 choose(const struct steer_service *service, const struct flow *flow, __u64 now)
{
	struct choice choice = {
		.now = now,
		.load_ttl_us = service->load_ttl_us,
		.dead_after_us = service->dead_after_us,
		.hash = flow->hash,
		.point = service->total_weight ? flow->hash % service->total_weight : 0,
		.policy = service->policy,
		.compute_weight = service->compute_weight,
		.network_weight = service->network_weight,
		.stateless = flow->stateless,
	};
	struct ranked *best = &choice.first;
	struct steer_load *load;
	__u64 silent;
	__u32 wait;

	if (service->policy == CATS_POLICY_LEAST && !flow->stateless && service->spread_us)
		choice.spread_us = spread(service, now);
	for (int i = 0; i < CATS_CANDIDATES; i++)
		if (i < service->candidates)
			consider(&choice, &service->candidate[i]);

	/* Flows of a silent instance are shared out by their hash, unless all are silent. */
	if (choice.policy == CATS_POLICY_STATIC && (!choice.by_weight_silent || choice.first.rank >> 63))
		return choice.by_weight;
	if (choice.policy == CATS_POLICY_P2C && choice.second.instance && choice.second.cost < choice.first.cost)
		best = &choice.second;
	load = bpf_map_lookup_elem(&loads, &best->instance);
	wait = believe(best->instance, &choice, WAIT_UNKNOWN, &silent);
	if (weighs(&choice) && best->instance && load && wait <= WAIT_LIMIT_US) {
		/* Until the instance says more, count the request that is sent to it now. */
		wait += best->step_us;
		load->wait_us = wait < WAIT_LIMIT_US ? wait : WAIT_LIMIT_US;
	}
	return best->instance;
}

/* The instance that the flow belongs to, 0 if there is none; remembered where there is room for it. */
static __always_inline __u32 place(const struct steer_service *service, struct flow *flow)
{
	__u32 number = flow->hash % FLOW_BUCKETS, instance;
	struct steer_bucket *bucket = bpf_map_lookup_elem(&flows, &number);
	struct steer_instance *known;
	struct place place = {};
	__u64 now = STEER_NOW_US;
	__u8 confirmed;

	if (!bucket)
		return 0;
	flow->ticks = now >> 14 & TICKS_MASK;
	flow->timeout = ((service->affinity_timeout_us >> 14) + 1) & TICKS_MASK;
	find(bucket, flow, &place);
	instance = place.instance;
	confirmed = place.confirmed;
	if (instance) {
		known = bpf_map_lookup_elem(&instances, &instance);
		if (!known || !known->living)
			instance = confirmed = 0;
		else if (flow->confirms)
			confirmed = 1;
	}
	if (!instance) {
		/* A TCP flow in its midst that is not in the table was never tracked, or the table was lost. */
		flow->stateless = place.way >= FLOW_WAYS || !(flow->opens || place.instance);
		instance = choose(service, flow, now);
		flow->placed = 1;
	}
	if (place.way < FLOW_WAYS && instance)
		bucket->entry[place.way] = (__u64)flow->tag << 32 | (__u64)(instance & 0x3FF) << 22 |
					   (__u64)confirmed << 21 | flow->ticks;
	return instance;
}

/* -- Sending --------------------------------------------------------------------------------------- */

/* Whether a packet, or what is cut from it (TCP without options), fits the interface with `more` octets. */
static __always_inline int fits(struct __sk_buff *skb, int more)
{
	__u32 mtu = 0;

	if (bpf_check_mtu(skb, 0, &mtu, more, 0) && !skb->gso_size)
		return 0;
	return !skb->gso_size || skb->gso_size + sizeof(struct ipv6) + TCP_HEADER + more <= mtu;
}

static __always_inline int encapsulate(struct __sk_buff *skb, const struct steer_instance *to, const struct ipv6 *inner,
				       __u32 hash)
{
	/* The route to the service leaves room for the outer header: segments keep their size. */
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_FIXED_GSO;
	struct segment_routing routing = {};
	struct ipv6 outer = {};
	int room = sizeof(outer);

	outer.version_class_flow = inner->version_class_flow & bpf_htonl(0xFFF00000);
	outer.version_class_flow |= bpf_htonl(hash & 0xFFFFF);
	outer.next_header = NEXT_IPV6;
	outer.hop_limit = HOP_LIMIT;
	read_headend(outer.source);
	__builtin_memcpy(outer.destination, to->sid, sizeof(outer.destination));
	if (to->has_via) {
		routing.next_header = NEXT_IPV6;
		routing.ext_length = 2;
		routing.routing_type = 4;
		routing.segments_left = 1;
		__builtin_memcpy(routing.segment, to->sid, sizeof(routing.segment));
		__builtin_memcpy(outer.destination, to->via, sizeof(outer.destination));
		outer.next_header = NEXT_ROUTING;
		room += sizeof(routing);
	}
	outer.payload_length = bpf_htons(bpf_ntohs(inner->payload_length) + room);
	if (!fits(skb, room) || bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, flags))
		return -1;
	if (to->has_via &&
	    bpf_skb_store_bytes(skb, sizeof(struct ethernet) + sizeof(outer), &routing, sizeof(routing), 0))
		return -1;
	return bpf_skb_store_bytes(skb, sizeof(struct ethernet), &outer, sizeof(outer), 0);
}

/* The option of a packet, or null: a Hop-by-Hop header that holds it alone. */
static __always_inline struct metric_header *metric_option(struct ipv6 *ip, void *end)
{
	struct metric_header *option = (void *)(ip + 1);

	if (ip->next_header != NEXT_HOP_BY_HOP || (void *)(option + 1) > end ||
	    option->ext_length != CATS_HBH_EXT_LENGTH || option->option_type != CATS_OPTION_TYPE ||
	    option->option_length != CATS_OPTION_LENGTH)
		return 0;
	return option;
}

/* Ports and flags of a packet; -1 if they are cut off. A service may ask another: then it is stamped. */
static __always_inline int read_transport(struct ipv6 *ip, void *end, struct flow *flow, __u32 *ports)
{
	struct metric_header *option = metric_option(ip, end);
	__u8 next_header = option ? option->next_header : ip->next_header;
	__u8 *transport = option ? (void *)(option + 1) : (void *)(ip + 1);

	*ports = 0;
	flow->opens = flow->confirms = 1;
	if (next_header != NEXT_TCP && next_header != NEXT_UDP)
		return 0;
	if ((void *)(transport + 4) > end)
		return -1;
	__builtin_memcpy(ports, transport, sizeof(*ports));
	*ports = bpf_ntohl(*ports);
	if (next_header == NEXT_TCP) {
		if ((void *)(transport + 14) > end)
			return -1;
		flow->opens = !!(transport[13] & TCP_SYN);
		flow->confirms = !flow->opens;
	}
	return 0;
}

SEC("tc")
int steer(struct __sk_buff *skb)
{
	struct ipv6 *ip = ipv6_header(skb);
	struct steer_instance *instance;
	struct steer_service *service;
	struct steer_counts *counted;
	struct flow flow = {};
	__u32 ports, chosen;

	if (!ip)
		return TC_ACT_UNSPEC;
	service = bpf_map_lookup_elem(&services, ip->destination);
	if (!service)
		return TC_ACT_UNSPEC;
	if (read_transport(ip, (void *)(long)skb->data_end, &flow, &ports))
		return TC_ACT_SHOT;
	identify(&flow, ip, ports);
	chosen = place(service, &flow);
	counted = bpf_map_lookup_elem(&counts, &chosen);
	if (counted) {
		counted->steered++;
		counted->placed += flow.placed;
	}
	instance = bpf_map_lookup_elem(&instances, &chosen);
	if (!chosen || !instance) {
		COUNT(no_instance);
		return TC_ACT_SHOT;
	}
	if (encapsulate(skb, instance, ip, flow.hash)) {
		COUNT(not_grown);
		return TC_ACT_SHOT;
	}
	return TC_ACT_UNSPEC;
}

/* -- Learning -------------------------------------------------------------------------------------- */

static __always_inline int is_zero(const __u8 *octets, int count)
{
	__u8 all = 0;

	for (int i = 0; i < count; i++)
		all |= octets[i];
	return !all;
}

/* docs/protocol.md, 3.3 and 3.4. */
static __always_inline void learn(const struct ipv6 *ip, const struct metric_header *option)
{
	struct steer_key_id id = {.key_id = option->key_id};
	struct mac_input message;
	__u32 tag[2], instance = bpf_ntohl(option->instance);
	__u32 sequence = bpf_ntohl(option->sequence), wait = bpf_ntohl(option->expected_wait_us);
	__u8 successor = option->key_id == 255 ? 1 : option->key_id + 1;
	__u64 now = STEER_NOW_US, number = 1ULL << 40 | (__u64)option->key_id << 32 | sequence;
	int repeated, stale;
	struct steer_load *load;
	struct steer_key *key;
	__u8 last_key;

	if (option->magic != bpf_htons(CATS_MAGIC) || option->version_flags >> 4 != CATS_VERSION) {
		if (!is_zero((const __u8 *)&option->magic, CATS_OPTION_LENGTH))
			COUNT(malformed);
		return;
	}
	id.instance = instance;
	load = bpf_map_lookup_elem(&loads, &instance);
	if (!instance || !load) {
		COUNT(unknown_instance);
		return;
	}
	key = bpf_map_lookup_elem(&metric_keys, &id);
	if (!key) {
		COUNT(no_key);
		return;
	}
	if (!same_address(key->source, ip->source)) {
		COUNT(misdirected);
		return;
	}
	last_key = load->last >> 32;
	repeated = load->last == number;
	stale = load->last && (last_key == successor ||
			       (last_key == option->key_id && sequence < (__u32)load->last));
	if (!option->key_id && now - load->learned_us > UNKEYED_SEQUENCE_US)
		repeated = stale = 0;
	if (repeated) {
		COUNT(repeated);
		return;
	}
	if (stale) {
		COUNT(stale);
		return;
	}
	if (option->key_id) {
		__builtin_memcpy(message.option, &option->magic, sizeof(message.option));
		__builtin_memcpy(message.destination, ip->destination, sizeof(message.destination));
		halfsiphash(key->key, (const __u32 *)&message, CATS_MAC_INPUT_BYTES / 4, tag);
		if (tag[0] != option->mac[0] || tag[1] != option->mac[1]) {
			COUNT(forged);
			return;
		}
	}
	load->wait_us = wait != WAIT_UNKNOWN && wait > WAIT_LIMIT_US ? WAIT_LIMIT_US : wait;
	load->last = number;
	load->learned_us = option->version_flags & CATS_FLAG_DRAINING ? 0 : now;
	COUNT(learned);
}

/* Whether a packet, stamped or not, is a beacon to this host. */
static __always_inline int is_beacon(const struct ipv6 *ip, const struct metric_header *option, void *end)
{
	const __u8 *udp = option ? (const void *)(option + 1) : (const void *)(ip + 1);
	__u8 own[16];

	if ((option ? option->next_header : ip->next_header) != NEXT_UDP || (void *)(udp + 4) > end)
		return 0;
	read_headend(own);
	return udp[2] == CATS_BEACON_PORT >> 8 && udp[3] == (CATS_BEACON_PORT & 0xFF) &&
	       same_address(ip->destination, own);
}

SEC("tc")
int metrics(struct __sk_buff *skb)
{
	struct ipv6 *ip = ipv6_header(skb);
	__u32 length = sizeof(struct ethernet) + sizeof(*ip) + sizeof(struct metric_header) + 4;
	__u8 blank[CATS_OPTION_LENGTH] = {};
	struct metric_header *option;
	void *end;

	if (!ip || (ip->next_header != NEXT_HOP_BY_HOP && ip->next_header != NEXT_UDP))
		return TC_ACT_UNSPEC;
	/* What a driver leaves outside the linear part is drawn in. */
	bpf_skb_pull_data(skb, length < skb->len ? length : skb->len);
	ip = ipv6_header(skb);
	if (!ip)
		return TC_ACT_UNSPEC;
	end = (void *)(long)skb->data_end;
	option = metric_option(ip, end);
	if (option)
		learn(ip, option);
	if (is_beacon(ip, option, end))
		return TC_ACT_SHOT;
	if (!option)
		return TC_ACT_UNSPEC;
	/* A card may have summed the packet up already: its sum is mended. */
	bpf_skb_store_bytes(skb, sizeof(struct ethernet) + sizeof(*ip) + __builtin_offsetof(struct metric_header, magic),
			    blank, sizeof(blank), BPF_F_RECOMPUTE_CSUM);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
