/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Does nothing with a packet: what the kernel's statistics show of it is their own cost.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int empty(struct __sk_buff *skb)
{
	return -1; /* TC_ACT_UNSPEC: go on */
}

char _license[] SEC("license") = "Dual BSD/GPL";
