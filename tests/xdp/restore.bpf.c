/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * For measurements: BPF_PROG_TEST_RUN repeats a program on the packet that the last run left. This one
 * puts the packet back as it was, then runs the program under test by a tail call.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define BYTES 112

unsigned long long original[BYTES / 8];
unsigned int length;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} programs SEC(".maps");

static __attribute__((always_inline)) inline int restore(struct xdp_md *ctx, unsigned int which)
{
	long now = ctx->data_end - ctx->data;
	void *data, *end;
	if (now != length && bpf_xdp_adjust_head(ctx, now - (long)length))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + BYTES > end)
		return XDP_ABORTED;
	for (int i = 0; i < BYTES / 8; i++)
		((unsigned long long *)data)[i] = original[i];
	bpf_tail_call(ctx, &programs, which);
	return XDP_ABORTED;
}

SEC("xdp.frags") int under_test(struct xdp_md *ctx) { return restore(ctx, 0); }
SEC("xdp.frags") int nothing(struct xdp_md *ctx) { return restore(ctx, 1); }
SEC("xdp.frags") int pass(struct xdp_md *ctx) { return XDP_PASS; }

char _license[] SEC("license") = "Dual BSD/GPL";
