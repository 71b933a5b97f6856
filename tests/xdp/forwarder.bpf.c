/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * A hand-written minimal IPv6 forwarder: the limit that generated programs are compared with. It does what
 * router.p4 does: longest prefix match, hop limit, two addresses, a packet counter per CPU, redirect.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>

struct key { __u32 bits; __u8 address[16]; };
struct route { __u32 port; __u8 addresses[12]; };

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, struct route);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 512);
	__uint(key_size, 4);
	__uint(value_size, 4);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 512);
	__type(key, __u32);
	__type(value, __u64[2]);
} counters SEC(".maps");

SEC("xdp.frags") int forward(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = data + sizeof(*eth);
	struct key key = { 128 };
	struct route *route;
	__u64 *counted;
	if ((void *)(ip + 1) > end || eth->h_proto != __builtin_bswap16(ETH_P_IPV6))
		return XDP_DROP;
	if (ip->hop_limit <= 1)
		return XDP_DROP;
	__builtin_memcpy(key.address, &ip->daddr, 16);
	route = bpf_map_lookup_elem(&routes, &key);
	if (!route)
		return XDP_DROP;
	counted = bpf_map_lookup_elem(&counters, &route->port);
	if (counted) {
		counted[0]++;
		counted[1] += bpf_xdp_get_buff_len(ctx);
	}
	ip->hop_limit--;
	__builtin_memcpy(eth, route->addresses, 12);
	return bpf_redirect_map(&ports, route->port, XDP_DROP);
}

char _license[] SEC("license") = "Dual BSD/GPL";
