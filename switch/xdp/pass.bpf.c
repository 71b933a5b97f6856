/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Lets everything pass. A veth takes redirected frames only where its peer has an XDP program (or GRO):
 * this one is put on peers that have neither.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags") int p4_pass(struct xdp_md *ctx) { return XDP_PASS; }

char _license[] SEC("license") = "Dual BSD/GPL";
