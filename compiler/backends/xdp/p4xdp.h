/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * What every generated XDP program includes: types, loads and stores in network byte order,
 * arithmetic that BPF has no instruction for, hashes.
 *
 * Values: bit<W> up to 64 is a u64 below 2^W, int<W> an s64 in range; wider ones are u128 and s128.
 */
#ifndef P4XDP_H
#define P4XDP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

#define INLINE static __attribute__((always_inline)) inline
/* A packet offset, masked so that all ways to a place look alike to the verifier. `z` is zero, but
 * the verifier does not know: without it every combination of parsed headers would be walked apart. */
#define POS_MASK 0x7fff
#define AT(o) (((o) ^ z) & POS_MASK)
/* Position of header bytes that are not (or not as they are now) in the packet. */
#define NOWHERE 0xffff
#define DROP_PORT 511

/* Packets from user space (BPF_PROG_TEST_RUN) begin with this; see p4cats.switch.xdp.inject. */
#define PREFIX_BYTES 64
enum { RUN_INGRESS = 0, RUN_EGRESS = 1, RUN_IMAGE = 2, RUN_CLONE = 3 };
struct p4_prefix {
	u32 kind;
	u32 port;
	u32 length;	/* of this prefix with the image behind it */
	u32 packet_length;
	u64 now_ns;
	u32 out_port;	/* result: where the packet goes, or NO_PORT */
	u32 result;
	u64 pad[4];
};
#define NO_PORT 0xffffffff

enum { EVENT_PACKET = 1, EVENT_DIGEST, EVENT_MULTICAST, EVENT_CLONE_INGRESS, EVENT_CLONE_EGRESS,
       EVENT_RESUBMIT, EVENT_RECIRCULATE, EVENT_LOG };
struct p4_event {
	u32 kind;
	u32 number;	/* of the digest, the session, the group or the field list */
	u32 port;
	u32 base;	/* where the packet begins in the octets behind */
	u32 pos;	/* where its payload begins */
	u32 length;	/* of the packet as it came in */
	u32 extra;
	u32 pad;
	u64 now_ns;
};

/* Open-coded iterators (kernel 6.4): loops whose rounds the verifier need not walk one by one. */
struct bpf_iter_num { u64 opaque; } __attribute__((aligned(8)));
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __attribute__((section(".ksyms")));
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __attribute__((section(".ksyms")));
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __attribute__((section(".ksyms")));

struct p4_cell { u64 packets, bytes; };
struct p4_meter { u64 cir, cburst, pir, pburst, committed, peak, last; u32 lock, pad; };

/* After a check against a bound: clang must not compute an address with the value from before. */
#define CHECKED(x) asm volatile("" : "+r"(x))

/* -- locks ----------------------------------------------------------------------------------
 *
 * XDP runs to its end on its processor, so that who holds a lock gives it back soon, and nobody waits for
 * himself. bpf_spin_lock would allow no helper while it is held (no table, no clock, no long loop). A wait
 * has an end (some ms, for a virtual processor may be taken away) because programs must have one.
 */
#define P4_SPINS (1 << 20)
struct p4_wait { u32 *lock, held; };

static long p4_try(u32 i, struct p4_wait *w)
{
	w->held = !*(volatile u32 *)w->lock && !__sync_lock_test_and_set(w->lock, 1);
	return w->held;
}

INLINE u32 p4_lock(u32 *lock)
{
	struct p4_wait w = { lock, 0 };
	if (!__sync_lock_test_and_set(lock, 1))
		return 1;
	bpf_loop(P4_SPINS, p4_try, &w, 0);
	return w.held;
}

/* An exchange: a plain store is no release on every processor. */
INLINE void p4_unlock(u32 *lock) { __sync_lock_test_and_set(lock, 0); }

/* -- memory ---------------------------------------------------------------------------------- */

#define LD8(p, o) ((u64)*(u8 *)((u8 *)(p) + (o)))
#define LD16(p, o) ((u64)__builtin_bswap16(*(u16 *)((u8 *)(p) + (o))))
#define LD32(p, o) ((u64)__builtin_bswap32(*(u32 *)((u8 *)(p) + (o))))
#define LD64(p, o) (__builtin_bswap64(*(u64 *)((u8 *)(p) + (o))))
#define ST8(p, o, v) (*(u8 *)((u8 *)(p) + (o)) = (u8)(v))
#define ST16(p, o, v) (*(u16 *)((u8 *)(p) + (o)) = __builtin_bswap16((u16)(v)))
#define ST32(p, o, v) (*(u32 *)((u8 *)(p) + (o)) = __builtin_bswap32((u32)(v)))
#define ST64(p, o, v) (*(u64 *)((u8 *)(p) + (o)) = __builtin_bswap64((u64)(v)))
#define W128(hi, lo) ((u128)(u64)(hi) << 64 | (u64)(lo))

/* Copy `n` octets (a constant) word by word; clang would go octet by octet. */
INLINE void copy(void *to, const void *of, u32 n)
{
	u32 i = 0;
	for (; i + 8 <= n; i += 8)
		*(u64 *)((u8 *)to + i) = *(const u64 *)((const u8 *)of + i);
	if (n & 4) {
		*(u32 *)((u8 *)to + i) = *(const u32 *)((const u8 *)of + i);
		i += 4;
	}
	if (n & 2) {
		*(u16 *)((u8 *)to + i) = *(const u16 *)((const u8 *)of + i);
		i += 2;
	}
	if (n & 1)
		*((u8 *)to + i) = *((const u8 *)of + i);
}

INLINE void clear(void *to, u32 n)
{
	u32 i = 0;
	for (; i + 8 <= n; i += 8)
		*(u64 *)((u8 *)to + i) = 0;
	for (; i < n; i++)
		*((u8 *)to + i) = 0;
}

/* -- arithmetic ------------------------------------------------------------------------------ */

#define ONES64(w) ((w) >= 64 ? ~0ULL : (1ULL << (w)) - 1)
#define ONES128(w) ((w) >= 128 ? ~(u128)0 : ((u128)1 << (w)) - 1)
#define SIGN64(v, w) ((s64)((u64)(v) << (64 - (w))) >> (64 - (w)))

/* A result of which clang shall make no product or shift by a variable: of 128 bits there are none. */
INLINE u128 apart(u128 v)
{
	u64 hi = v >> 64, lo = v;
	asm("" : "+r"(hi), "+r"(lo));
	return W128(hi, lo);
}

INLINE s128 sign128(u128 v, u32 w)
{
	u128 top = (u128)1 << (w - 1);
	return (s128)(((v & ONES128(w)) ^ top) - top);
}

INLINE u64 shl64(u64 v, u64 n) { return n < 64 ? v << n : 0; }
INLINE u64 shr64(u64 v, u64 n) { return n < 64 ? v >> n : 0; }
INLINE s64 sar64(s64 v, u64 n) { return v >> (n < 64 ? n : 63); }

INLINE u128 shl128(u128 v, u64 n)
{
	u64 hi = v >> 64, lo = v;
	if (n >= 128)
		return 0;
	if (n >= 64)
		return W128(lo << (n - 64), 0);
	if (n == 0)
		return v;
	return W128(hi << n | lo >> (64 - n), lo << n);
}

INLINE u128 shr128(u128 v, u64 n)
{
	u64 hi = v >> 64, lo = v;
	if (n >= 128)
		return 0;
	if (n >= 64)
		return W128(0, hi >> (n - 64));
	if (n == 0)
		return v;
	return W128(hi >> n, lo >> n | hi << (64 - n));
}

INLINE s128 sar128(s128 v, u64 n)
{
	u128 low = shr128((u128)v, n);
	if (v >= 0 || n == 0)
		return (s128)low;
	return (s128)(low | ~shr128(~(u128)0, n));
}

INLINE u128 mul128(u128 a, u128 b)
{
	u64 a1 = a >> 64, a0 = a, b1 = b >> 64, b0 = b;
	u64 x = a0 & 0xffffffff, y = a0 >> 32, u = b0 & 0xffffffff, v = b0 >> 32;
	u64 low = x * u, m = y * u + (low >> 32), k = x * v + (m & 0xffffffff);
	u64 hi = y * v + (m >> 32) + (k >> 32);
	return W128(hi + a1 * b0 + a0 * b1, k << 32 | (low & 0xffffffff));
}

INLINE u64 div64(u64 a, u64 b) { return b ? a / b : 0; }
INLINE u64 mod64(u64 a, u64 b) { return b ? a % b : 0; }

struct p4_division { u64 a1, a0, b1, b0; };

/* a / b into a, a % b into b, bit by bit. A global function: the verifier walks it once, not at every call. */
__attribute__((noinline, weak)) int p4_divide(struct p4_division *d)
{
	u64 r1 = 0, r0 = 0, q1 = 0, q0 = 0, a1, a0, b1, b0;
	if (!d)
		return 0;
	a1 = d->a1, a0 = d->a0, b1 = d->b1, b0 = d->b0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 128; i++) {
		u64 carry = r1 >> 63, d0, d1, borrow, take;
		r1 = r1 << 1 | r0 >> 63;
		r0 = r0 << 1 | a1 >> 63;
		a1 = a1 << 1 | a0 >> 63;
		a0 <<= 1;
		d0 = r0 - b0;
		borrow = ((~r0 & b0) | (~(r0 ^ b0) & d0)) >> 63;
		d1 = r1 - b1 - borrow;
		borrow = ((~r1 & b1) | (~(r1 ^ b1) & d1)) >> 63;
		take = -(carry | (borrow ^ 1));
		asm volatile("" : "+r"(take));
		r0 = (d0 & take) | (r0 & ~take);
		r1 = (d1 & take) | (r1 & ~take);
		q1 = q1 << 1 | q0 >> 63;
		q0 = q0 << 1 | (take & 1);
	}
	d->a1 = q1, d->a0 = q0, d->b1 = r1, d->b0 = r0;
	return 0;
}

INLINE u128 divide128(u128 a, u128 b, u32 rest)
{
	struct p4_division d = { a >> 64, a, b >> 64, b };
	if (b == 0)
		return 0;
	p4_divide(&d);
	return rest ? W128(d.b1, d.b0) : W128(d.a1, d.a0);
}

INLINE u64 min64(u64 a, u64 b) { return a < b ? a : b; }

/* -- hashes over 64-bit words, most significant octet first ------------------------------------ */

extern const u32 crc32_table[8][256];
extern const u16 crc16_table[8][256];

INLINE u32 crc32_8(u32 crc, u64 word)
{
	u64 w = __builtin_bswap64(word) ^ crc;
	return crc32_table[7][w & 255] ^ crc32_table[6][w >> 8 & 255] ^ crc32_table[5][w >> 16 & 255] ^
	       crc32_table[4][w >> 24 & 255] ^ crc32_table[3][w >> 32 & 255] ^ crc32_table[2][w >> 40 & 255] ^
	       crc32_table[1][w >> 48 & 255] ^ crc32_table[0][w >> 56];
}

INLINE u32 crc32_4(u32 crc, u64 word)
{
	u32 w = (u32)__builtin_bswap64(word) ^ crc;
	return crc32_table[3][w & 255] ^ crc32_table[2][w >> 8 & 255] ^ crc32_table[1][w >> 16 & 255] ^
	       crc32_table[0][w >> 24];
}

/* The first `n` octets of `word`, n a constant below 8. */
INLINE u32 crc32_n(u32 crc, u64 word, u32 n)
{
	if (n >= 4) {
		crc = crc32_4(crc, word);
		word <<= 32;
		n -= 4;
	}
	for (u32 i = 0; i < n; i++)
		crc = crc32_table[0][(crc ^ (u32)(word >> (56 - 8 * i))) & 255] ^ crc >> 8;
	return crc;
}

INLINE u32 crc16_8(u32 crc, u64 word)
{
	u64 w = __builtin_bswap64(word) ^ crc;
	return crc16_table[7][w & 255] ^ crc16_table[6][w >> 8 & 255] ^ crc16_table[5][w >> 16 & 255] ^
	       crc16_table[4][w >> 24 & 255] ^ crc16_table[3][w >> 32 & 255] ^ crc16_table[2][w >> 40 & 255] ^
	       crc16_table[1][w >> 48 & 255] ^ crc16_table[0][w >> 56];
}

INLINE u32 crc16_n(u32 crc, u64 word, u32 n)
{
	for (u32 i = 0; i < n; i++)
		crc = crc16_table[0][(crc ^ (u32)(word >> (56 - 8 * i))) & 255] ^ crc >> 8;
	return crc;
}

INLINE u64 sum_add(u64 sum, u64 word)
{
	sum += word;
	return sum + (sum < word);
}

INLINE u64 sum_fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

INLINE u64 xor_fold(u64 x)
{
	x ^= x >> 32;
	x ^= x >> 16;
	return x & 0xffff;
}

/* -- meters (RFC 2698, colour-blind); tokens are kept in billionths ----------------------------- */

INLINE u64 meter_run(struct p4_meter *m, u64 amount, u64 now)
{
	u64 passed = 0, need = amount * 1000000000ULL, committed, peak, limit, colour = 2;
	if (!m->pir && !m->pburst && !m->cir && !m->cburst)
		return 0;
	if (!p4_lock(&m->lock))
		return colour;
	/* Packets of other processors may have looked at the clock later and come here before. */
	if (now > m->last) {
		passed = now - m->last;
		m->last = now;
	}
	/* Full after cburst / cir seconds at the latest: longer is as good (and cannot overflow). */
	limit = m->cburst * 1000000000ULL;
	committed = m->committed;
	if (m->cir && passed < (limit - committed) / m->cir + 1)
		committed = min64(committed + m->cir * passed, limit);
	else if (m->cir)
		committed = limit;
	limit = m->pburst * 1000000000ULL;
	peak = m->peak;
	if (m->pir && passed < (limit - peak) / m->pir + 1)
		peak = min64(peak + m->pir * passed, limit);
	else if (m->pir)
		peak = limit;
	if (peak >= need) {
		peak -= need;
		colour = 1;
		if (committed >= need) {
			committed -= need;
			colour = 0;
		}
	}
	m->committed = committed;
	m->peak = peak;
	p4_unlock(&m->lock);
	return colour;
}

#include "p4long.h"

#endif
