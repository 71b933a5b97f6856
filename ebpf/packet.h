/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Packets as the tc programs of stamp and steer see them: Ethernet, IPv6, the Hop-by-Hop header with the CATS
 * metric option alone (docs/protocol.md, 3.1) and what its MAC covers (section 4). Fields are in network
 * byte order.
 */
#ifndef P4CATS_PACKET_H
#define P4CATS_PACKET_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "cats_protocol.h"

#define ETH_P_IPV6 0x86DD
#define NEXT_HOP_BY_HOP 0
#define NEXT_TCP 6
#define NEXT_UDP 17
#define NEXT_IPV6 41
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_AUTHENTICATION 51
#define NEXT_ICMPV6 58
#define NEXT_DESTINATION_OPTIONS 60
#define TC_ACT_UNSPEC (-1) /* go on to the next filter */
#define TC_ACT_SHOT 2

struct ethernet {
	__u8 destination[6], source[6];
	__be16 type;
};

struct ipv6 {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next_header, hop_limit;
	__u8 source[16], destination[16];
};

struct metric_header {
	__u8 next_header, ext_length;
	__u8 option_type, option_length;
	__be16 magic; /* the MAC covers the octets from here to the sequence */
	__u8 version_flags, key_id;
	__be32 instance;
	__u8 norm_fi, compute, communication, service, composed, reserved;
	__be16 in_flight;
	__be32 expected_wait_us;
	__be32 power_mw;
	__be32 sequence;
	__be32 mac[2];
};

struct mac_input {
	__u8 option[CATS_MAC_INPUT_BYTES - 16];
	__u8 destination[16];
} __attribute__((aligned(4)));

_Static_assert(sizeof(struct metric_header) == CATS_HBH_BYTES, "option layout");
_Static_assert(CATS_HBH_BYTES == CATS_OPTION_LENGTH + 4, "Hop-by-Hop and option headers");
_Static_assert(CATS_HBH_BYTES == 8 * (CATS_HBH_EXT_LENGTH + 1), "Hop-by-Hop length");
_Static_assert(__builtin_offsetof(struct metric_header, mac) -
		       __builtin_offsetof(struct metric_header, magic) ==
	       sizeof(((struct mac_input *)0)->option), "what the MAC covers");

/* The IPv6 header, or null. */
static __always_inline struct ipv6 *ipv6_header(struct __sk_buff *skb)
{
	struct ipv6 *ip = (void *)(long)skb->data + sizeof(struct ethernet);

	if (skb->protocol != bpf_htons(ETH_P_IPV6) || (void *)(ip + 1) > (void *)(long)skb->data_end)
		return 0;
	return ip;
}

#endif
