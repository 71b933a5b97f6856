/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What the host hooks share: keys and values of the pinned maps. Included by
 * stamp.bpf.c and established.bpf.c (clang, libbpf) and by sense.bpf.c (bcc).
 * Python reads these layouts from the BTF of the loaded maps, never from here.
 *
 * Who writes what, so that nothing needs a lock:
 *   instances     user space only; a program sees an old or a new value, never a mixture
 *   keys          user space; programs only add to a key's sequence number
 *   counters      programs only, by atomic additions
 *   tcp_sockets   programs only: an entry is one established connection that was counted
 *   udp_flows     programs add and count; user space removes what is idle
 *   path_mtus     programs only
 *   changes       programs write, user space reads
 *   stats         programs only
 */
#ifndef P4CATS_HOST_MAPS_H
#define P4CATS_HOST_MAPS_H

#define P4CATS_MAX_INSTANCES 1024 /* CATS_INSTANCES: counters are an array by instance id */
#define P4CATS_MAX_FLOWS 65536
#define P4CATS_MAX_PATHS 16384

/* A service at one host. The same anycast address lives in many network namespaces
 * of one kernel, hence the namespace's inode number. Address in network order. */
struct p4cats_service {
	__u32 netns;
	__u8 address[16];
};

/* What user space says about an instance. */
struct p4cats_instance {
	__u64 valid_until_ns;  /* CLOCK_MONOTONIC; later than this the agent is dead: no stamps */
	__u64 udp_aged;        /* requests given up after the time-to-live, since the start */
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
};

/* The key of an instance and the number of stamps under it: one value, so that a stamp never
 * carries the sequence number of one key and the MAC of another. */
struct p4cats_key {
	__u64 sequence; /* of the last stamp under this key; none is made beyond 2^32 - 1 */
	__u32 key[2];   /* eight octets */
	__u8 key_id;    /* 1..255; 0: no key, the MAC is zero */
	__u8 reserved[7];
};

/* What the programs count. Totals since the start, never decreasing, but for averages and what was told. */
struct p4cats_counters {
	__u64 tcp_opened;
	__u64 tcp_closed;
	__u64 udp_requests;
	__u64 udp_responses; /* those that answered a waiting request */
	__u64 served;        /* requests that found a free worker, and ... */
	__u64 served_ns;     /* ... their time from arrival to answer */
	__u64 service_time_ns; /* moving average of that time; 0: none yet */
	__u64 stamped;
	__u32 told_wait_us;  /* expected wait in the last beacon */
	__u32 change_told;   /* 1: user space knows that a beacon is due */
};

/* An established connection, keyed by the address of its struct sock. */
struct p4cats_tcp_socket {
	__u64 started_ns; /* 0: not to be timed (it had to queue, or its start was not seen) */
	__u32 instance;
	__u32 reserved;
};

struct p4cats_udp_flow {
	struct p4cats_service service;
	__u8 client[16];
	__u16 client_port; /* network order */
	__u16 service_port;
};

struct p4cats_udp_waiting {
	__u64 active_ns;  /* last datagram, either direction */
	__u64 started_ns; /* of the only request waiting; 0: not to be timed */
	__s64 waiting;
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
	__u64 udp_untracked; /* requests not counted: the table of flows is full */
};

/* Requests in flight now. A total read while the other moves may be off by one for a
 * moment; never below zero. Aged requests are those the sweep gave up. */
static inline __u32 p4cats_in_flight(const struct p4cats_counters *counters, __u64 udp_aged)
{
	__s64 tcp = counters->tcp_opened - counters->tcp_closed;
	__s64 udp = counters->udp_requests - counters->udp_responses - udp_aged;

	return (tcp > 0 ? tcp : 0) + (udp > 0 ? udp : 0);
}

/* Take in the time of a request that found a free worker. The average is that of the first ten, then
 * each new one weighs a tenth. Two CPUs at once may lose one of two: it is an average. */
static inline void p4cats_served(struct p4cats_counters *counters, __u64 ns)
{
	__u64 weight = __sync_fetch_and_add(&counters->served, 1) + 1;

	if (weight > 10)
		weight = 10;
	__sync_fetch_and_add(&counters->served_ns, ns);
	counters->service_time_ns = (counters->service_time_ns * (weight - 1) + ns) / weight;
}

#endif
