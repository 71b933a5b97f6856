/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * A bare redirect: the limit of what any program on these ports can reach.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__uint(key_size, 4);
	__uint(value_size, 4);
} out SEC(".maps");

SEC("xdp.frags") int redirect(struct xdp_md *ctx)
{
	return bpf_redirect_map(&out, ctx->ingress_ifindex, XDP_DROP);
}

char _license[] SEC("license") = "Dual BSD/GPL";
