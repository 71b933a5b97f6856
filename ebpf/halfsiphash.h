/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * HalfSipHash-2-4 with a 64-bit tag (docs/protocol.md, 4; p4cats/halfsiphash.py is the reference), for
 * messages of whole 32-bit words. Straight code: about a thousand instructions, no loop left in them.
 *
 * Include <linux/types.h> first.
 */
#ifndef P4CATS_HALFSIPHASH_H
#define P4CATS_HALFSIPHASH_H

/* A word of the message, of the key or of the tag: little endian in memory. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HALFSIPHASH_WORD(w) (w)
#else
#define HALFSIPHASH_WORD(w) __builtin_bswap32(w)
#endif

#define HALFSIPHASH_ROTATE(v, bits) ((v) << (bits) | (v) >> (32 - (bits)))

struct halfsiphash_state {
	__u32 v0, v1, v2, v3;
};

static __attribute__((always_inline)) inline void halfsiphash_round(struct halfsiphash_state *s)
{
	s->v0 += s->v1;
	s->v1 = HALFSIPHASH_ROTATE(s->v1, 5) ^ s->v0;
	s->v0 = HALFSIPHASH_ROTATE(s->v0, 16);
	s->v2 += s->v3;
	s->v3 = HALFSIPHASH_ROTATE(s->v3, 8) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = HALFSIPHASH_ROTATE(s->v3, 7) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = HALFSIPHASH_ROTATE(s->v1, 13) ^ s->v2;
	s->v2 = HALFSIPHASH_ROTATE(s->v2, 16);
}

static __attribute__((always_inline)) inline void halfsiphash_word(struct halfsiphash_state *s, __u32 m)
{
	s->v3 ^= m;
	halfsiphash_round(s);
	halfsiphash_round(s);
	s->v0 ^= m;
}

static __attribute__((always_inline)) inline __u32 halfsiphash_finish(struct halfsiphash_state *s)
{
	halfsiphash_round(s);
	halfsiphash_round(s);
	halfsiphash_round(s);
	halfsiphash_round(s);
	return HALFSIPHASH_WORD(s->v1 ^ s->v3);
}

/* Write the tag of `words` words, a constant less than 64, to `tag`: eight octets, as in a packet. Key
 * and message are octets in memory, both aligned to 4. */
static __attribute__((always_inline)) inline void halfsiphash(const __u32 *key, const __u32 *message,
							      int words, __u32 *tag)
{
	__u32 k0 = HALFSIPHASH_WORD(key[0]), k1 = HALFSIPHASH_WORD(key[1]);
	struct halfsiphash_state s = {k0, k1 ^ 0xee, 0x6c796765 ^ k0, 0x74656462 ^ k1};

#pragma unroll
	for (int i = 0; i < words; i++)
		halfsiphash_word(&s, HALFSIPHASH_WORD(message[i]));
	halfsiphash_word(&s, (__u32)words << 26); /* the length in octets, in the last octet */
	s.v2 ^= 0xee;
	tag[0] = halfsiphash_finish(&s);
	s.v1 ^= 0xdd;
	tag[1] = halfsiphash_finish(&s);
}

#endif
