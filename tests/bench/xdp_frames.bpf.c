/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * For measurements between namespaces: a generator of 64-octet frames, a counting sink, a bare redirect.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define BYTES 64

const volatile unsigned int out_ifindex = 0;
unsigned long long frame[BYTES / 8];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} received SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 4);
} ports SEC(".maps");

/* Frames of a live test run are used again as the last run left them: each is written anew. */
SEC("xdp") int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + BYTES > end)
		return XDP_ABORTED;
	for (int i = 0; i < BYTES / 8; i++)
		((unsigned long long *)data)[i] = frame[i];
	return bpf_redirect(out_ifindex, 0);
}

SEC("xdp.frags") int count(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *seen = bpf_map_lookup_elem(&received, &zero);
	if (!seen || ctx->data_end - ctx->data != BYTES)
		return XDP_PASS;
	(*seen)++;
	return XDP_DROP;
}

SEC("xdp.frags") int from_first(struct xdp_md *ctx) { return bpf_redirect_map(&ports, 1, XDP_DROP); }
SEC("xdp.frags") int from_second(struct xdp_md *ctx) { return bpf_redirect_map(&ports, 0, XDP_DROP); }
SEC("xdp.frags") int pass(struct xdp_md *ctx) { return XDP_PASS; }

char _license[] SEC("license") = "Dual BSD/GPL";
