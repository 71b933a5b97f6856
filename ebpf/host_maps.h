/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What the host hooks share: keys and values of the pinned maps. Included by
 * shared_maps.h (clang, libbpf) and by sense.bpf.c (bcc).
 * Python reads these layouts from the BTF of the loaded maps, never from here.
 *
 * Who writes what, so that nothing needs a lock:
 *   instances     user space only; a program sees an old or a new value, never a mixture
 *   keys          user space; programs only add to a key's sequence number
 *   counters      programs only, by atomic additions
 *   tcp_sockets   programs only: an entry is one established connection that was counted
 *   flows         programs only: an entry is a flow with requests that wait for an answer
 *   sched         programs only, each processor its own entry
 *   path_mtus     programs only
 *   changes       programs write, user space reads
 *   stats         programs only
 */
#ifndef P4CATS_HOST_MAPS_H
#define P4CATS_HOST_MAPS_H

#define P4CATS_MAX_INSTANCES 1024 /* CATS_INSTANCES: counters are an array by instance id */
#define P4CATS_MAX_PATHS 16384
#define P4CATS_MAX_CPUS 1024

/* A service at one host. The same anycast address lives in many network namespaces
 * of one kernel, hence the namespace's inode number. Address in network order. */
struct p4cats_service {
	__u32 netns;
	__u8 address[16];
};

/* What user space says about an instance. */
struct p4cats_instance {
	__u64 valid_until_ns;  /* CLOCK_MONOTONIC; later than this the agent is dead: no stamps */
	__u32 instance;        /* 1..1023 */
	__u32 service_time_us; /* of one request on one worker; 0: unknown */
	__u32 measure;         /* 1: only until it has been measured */
	__u32 workers;         /* requests served at the same time; 0: unknown */
	__u32 power_mw;        /* all ones: unknown */
	__u32 path_mtu;        /* octets of an IPv6 packet; 0: the interface's MTU alone counts */
	__u16 port;            /* TCP and UDP, host order; 0: any */
	__u8 norm_fi;          /* scores 0..10, 10 best; 255: unknown */
	__u8 compute;
	__u8 communication;
	__u8 service;
	__u8 composed;
	__u8 flags;            /* of the option */
	__u8 exchanges;        /* 1: a TCP request is data that waits for data, 0: a connection */
	__u8 reserved[7];
};

/* The key of an instance and the number of stamps under it: one value, so that a stamp never
 * carries the sequence number of one key and the MAC of another. */
struct p4cats_key {
	__u64 sequence; /* of the last stamp under this key; none is made beyond 2^32 - 1 */
	__u32 key[2];   /* eight octets */
	__u8 key_id;    /* 1..255; 0: no key, the MAC is zero */
	__u8 reserved[7];
};

/* What the programs count. Totals since the start, never decreasing, but for averages and what was told.
 * What every packet and connection needs is in the first of two cache lines. */
struct p4cats_counters {
	__u64 tcp_opened;    /* connections, or exchanges on them */
	__u64 tcp_closed;
	__u64 udp_requests;
	__u64 udp_responses; /* those that answered a waiting request */
	__u64 udp_aged;      /* requests given up after the time-to-live */
	__u64 service_time_ns; /* moving average of requests that found a free worker; 0: none yet */
	__u64 stamped;
	__u32 told_wait_us;  /* expected wait in the last beacon */
	__u32 change_told;   /* 1: user space knows that a beacon is due */
	__u64 served;        /* requests that found a free worker */
	__u64 reserved[7];
};

/* What waits for an answer, TCP connections by socket, other requests by flow: hash tables of sets, a
 * cache line each, so that a look-up costs one cache miss, seldom two: what finds its set full goes into the
 * neighbouring one (number ^ 1). What finds no room there is not counted as in flight. A word that is 0 is
 * free, and taken by compare-and-swap. */
#define P4CATS_SET 4

struct p4cats_entry {
	__u64 word;
	__u64 since_ns; /* CLOCK_MONOTONIC */
};

struct p4cats_set {
	struct p4cats_entry entries[P4CATS_SET];
};

/* tcp_sockets: the address of an established connection's struct sock without its 16 high bits (all ones in
 * the kernel), and the instance in their place. since_ns is 0 when its time is not to be taken: it
 * had to queue, or its start was not seen. A socket's entry changes under its lock. */
static inline __u32 p4cats_tcp_set_of(__u64 socket, __u32 sets)
{
	return (__u32)(socket >> 6) * 2654435761U >> 8 & (sets - 1); /* Fibonacci hashing (Knuth) */
}

static inline struct p4cats_entry *p4cats_tcp_entry(struct p4cats_set *set, __u64 socket)
{
#pragma unroll
	for (int i = 0; i < P4CATS_SET; i++)
		if (set->entries[i].word >> 16 == socket << 16 >> 16)
			return &set->entries[i];
	return 0;
}

/* Whether there was room. */
static inline int p4cats_tcp_add(struct p4cats_set *set, __u64 socket, __u32 instance, __u64 since_ns)
{
#pragma unroll
	for (int i = 0; i < P4CATS_SET; i++) {
		struct p4cats_entry *entry = &set->entries[i];

		if (!entry->word && __sync_val_compare_and_swap(&entry->word, 0, socket << 16 | instance) == 0) {
			entry->since_ns = since_ns;
			return 1;
		}
	}
	return 0;
}

/* What the scheduler does, by processor: a cache line each. */
struct p4cats_sched_cpu {
	__u64 waits;         /* for a processor, of a sample of the tasks that were switched to */
	__u64 wait_ns;
	__u64 idle_ns;
	__u64 idle_since_ns; /* CLOCK_MONOTONIC; 0: not idle now */
	__u64 idle_task;     /* address of this processor's */
	__u64 sampled;       /* address of the running task if its wait is to be taken; 0: not */
	__u64 waited_ns;     /* by that task in its life, before it was switched to */
	__u32 random;
	__u32 mask;          /* one in mask + 1 tasks is sampled (a power of two); set by node.bpf.c */
};

/* The node, as averages over about a second. */
struct p4cats_node {
	__u32 cpu_use_ppm;  /* of all processors' time, not idle */
	__u32 run_queue_ns; /* mean wait for a processor */
	__u64 readings;     /* so far */
	__u64 spent_ns;     /* on them */
};

/* The MTU of the path to an address, as an ICMPv6 Packet Too Big said (RFC 8201). */
struct p4cats_path_mtu {
	__u64 until_ns; /* CLOCK_MONOTONIC */
	__u32 mtu;
	__u32 reserved;
};

/* What became of packets, per CPU: the reasons for leaving one as it is. */
struct p4cats_stats {
	__u64 stamped;
	__u64 not_service;   /* another source, or not IPv6 */
	__u64 not_transport; /* from a service, but neither TCP nor UDP */
	__u64 has_hbh;
	__u64 has_extension; /* another extension header right behind the IPv6 header */
	__u64 fragment;
	__u64 udp_gso;       /* many datagrams in one */
	__u64 no_room;       /* would pass the MTU of the interface or of the path */
	__u64 stale;         /* the agent is silent: no numbers are better than old ones */
	__u64 no_key;        /* keys are in use, and the agent has none yet */
	__u64 exhausted;     /* the key's sequence numbers are used up */
	__u64 not_grown;     /* the kernel refused: no memory */
	__u64 untracked;     /* requests and connections not counted: no room in flows and tcp_sockets */
};

/* Requests in flight now. A total read while the other moves may be off by one for a
 * moment; never below zero. */
static inline __u32 p4cats_in_flight(const struct p4cats_counters *counters)
{
	__s64 tcp = counters->tcp_opened - counters->tcp_closed;
	__s64 udp = counters->udp_requests - counters->udp_responses - counters->udp_aged;

	return (tcp > 0 ? tcp : 0) + (udp > 0 ? udp : 0);
}

/* Take in the time of a request that found a free worker. The average is that of the first ten, then
 * each new one weighs a tenth. Two CPUs at once may lose one of two: it is an average. */
static inline void p4cats_served(struct p4cats_counters *counters, __u64 ns)
{
	__u64 weight = counters->served + 1;

	counters->served = weight;
	if (weight > 10)
		weight = 10;
	counters->service_time_ns = (counters->service_time_ns * (weight - 1) + ns) / weight;
}

#endif
