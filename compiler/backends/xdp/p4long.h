/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Arithmetic on values wider than 128 bits: arrays of `n` words, the least significant first, the bits above
 * the width zero; int<W> as its two's complement pattern. `n`, widths and counts named `bits` are
 * constants. A result may be one of the operands, except where it says otherwise. Carries are computed without
 * branches, of which the verifier would walk every combination.
 */
#ifndef P4LONG_H
#define P4LONG_H

#define LONG_LOOP _Pragma("clang loop unroll(full)")
/* Results go to memory, and one word is done, with its carry, before the next is begun: clang would keep them all
 * at hand, on a stack that is too small for that. */
#define LONG_DONE asm volatile("" ::: "memory")
#define LONG_WORD_DONE(carry) asm volatile("" : "+r"(carry)::"memory")
/* Addresses are computed from these as they are here: each that is known from before a branch would lie on the
 * stack. */
#define LONG_FROM(p) asm volatile("" : "+r"(p))
#define LONG_FROM2(p, q) asm volatile("" : "+r"(p), "+r"(q))
#define LONG_FROM3(p, q, t) asm volatile("" : "+r"(p), "+r"(q), "+r"(t))

INLINE void long_trim(u64 *r, u32 n, u32 width) { r[n - 1] &= ONES64(width - 64 * (n - 1)); }

/* The word below the width filled up with the sign. */
INLINE u64 long_top(const u64 *a, u32 n, u32 width) { return SIGN64(a[n - 1], width - 64 * (n - 1)); }

/* `n` words of the `m` of `a`; what is missing is `above`. */
INLINE void long_copy(u64 *r, u32 n, const u64 *a, u32 m, u64 above)
{
	LONG_FROM2(r, a);
	LONG_LOOP for (u32 i = 0; i < n; i++)
		r[i] = i < m ? a[i] : above;
	LONG_DONE;
}

/* a + b + carry; the carry out. */
INLINE u64 long_add(u64 *r, const u64 *a, const u64 *b, u32 n, u64 carry)
{
	LONG_FROM3(r, a, b);
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		u64 x = a[i], y = b[i], sum = x + y + carry;
		carry = ((x & y) | ((x | y) & ~sum)) >> 63;
		r[i] = sum;
		LONG_WORD_DONE(carry);
	}
	return carry;
}

/* a - b; the borrow. */
INLINE u64 long_sub(u64 *r, const u64 *a, const u64 *b, u32 n)
{
	u64 borrow = 0;
	LONG_FROM3(r, a, b);
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		u64 x = a[i], y = b[i], rest = x - y - borrow;
		borrow = ((~x & y) | (~(x ^ y) & rest)) >> 63;
		r[i] = rest;
		LONG_WORD_DONE(borrow);
	}
	return borrow;
}

#define LONG_BITWISE(name, op)                                                                       \
	INLINE void name(u64 *r, const u64 *a, const u64 *b, u32 n)                                  \
	{                                                                                            \
		LONG_FROM3(r, a, b);                                                                 \
		LONG_LOOP for (u32 i = 0; i < n; i++)                                                \
			r[i] = a[i] op b[i];                                                         \
		LONG_DONE;                                                                           \
	}
LONG_BITWISE(long_and, &)
LONG_BITWISE(long_or, |)
LONG_BITWISE(long_xor, ^)

INLINE void long_not(u64 *r, const u64 *a, u32 n)
{
	LONG_FROM2(r, a);
	LONG_LOOP for (u32 i = 0; i < n; i++)
		r[i] = ~a[i];
	LONG_DONE;
}

INLINE void long_negate(u64 *r, const u64 *a, u32 n)
{
	u64 carry = 1;
	LONG_FROM2(r, a);
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		u64 sum = ~a[i] + carry;
		carry = carry & (sum == 0);
		r[i] = sum;
		LONG_WORD_DONE(carry);
	}
}

/* a * b, cut off; `r` is neither of them. */
INLINE void long_mul(u64 *r, const u64 *a, const u64 *b, u32 n)
{
	LONG_FROM3(r, a, b);
	LONG_LOOP for (u32 i = 0; i < n; i++)
		r[i] = 0;
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		u64 carry = 0;
		LONG_LOOP for (u32 j = 0; j < n - i; j++) {
			u128 product = mul128(a[i], b[j]);
			u64 lo = product, hi = product >> 64, sum = lo + carry, all = sum + r[i + j];
			carry = hi + (((lo & carry) | ((lo | carry) & ~sum)) >> 63) +
				(((sum & r[i + j]) | ((sum | r[i + j]) & ~all)) >> 63);
			r[i + j] = all;
			LONG_DONE;
		}
	}
}

/* a < b of patterns; with `sign`, the top bit of int<W> in its word, of two's complements. */
INLINE u64 long_less(const u64 *a, const u64 *b, u32 n, u64 sign)
{
	u64 borrow = 0;
	LONG_FROM2(a, b);
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		u64 flip = i == n - 1 ? sign : 0, x = a[i] ^ flip, y = b[i] ^ flip;
		borrow = ((~x & y) | (~(x ^ y) & (x - y - borrow))) >> 63;
		LONG_WORD_DONE(borrow);
	}
	return borrow;
}

INLINE u64 long_equal(const u64 *a, const u64 *b, u32 n)
{
	u64 different = 0;
	LONG_FROM2(a, b);
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		different |= a[i] ^ b[i];
		LONG_WORD_DONE(different);
	}
	return different == 0;
}

INLINE void long_shl(u64 *r, const u64 *a, u32 n, u32 bits)
{
	u32 words = bits / 64, rest = bits % 64;
	LONG_FROM2(r, a);
	LONG_LOOP for (u32 k = n; k > 0; k--) {
		u32 i = k - 1;
		u64 v = i >= words ? a[i - words] << rest : 0;
		r[i] = rest && i > words ? v | a[i - words - 1] >> (64 - rest) : v;
	}
	LONG_DONE;
}

/* What comes in from above is `fill`: 0, or ones. */
INLINE void long_shr(u64 *r, const u64 *a, u32 n, u32 bits, u64 fill)
{
	u32 words = bits / 64, rest = bits % 64;
	LONG_FROM2(r, a);
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		u64 low = i + words < n ? a[i + words] : fill, high = i + words + 1 < n ? a[i + words + 1] : fill;
		r[i] = rest ? low >> rest | high << (64 - rest) : low;
	}
	LONG_DONE;
}

/* Shifts by a count that the packet decides, `r` in place: power of two by power of two. */
INLINE void long_shl_by(u64 *r, u32 n, u64 count)
{
	LONG_LOOP for (u32 bits = 1; bits < 64 * n; bits *= 2)
		if (count & bits)
			long_shl(r, r, n, bits);
	if (count >= 64 * n)
		long_copy(r, n, r, 0, 0);
}

INLINE void long_shr_by(u64 *r, u32 n, u64 count, u64 fill)
{
	LONG_LOOP for (u32 bits = 1; bits < 64 * n; bits *= 2)
		if (count & bits)
			long_shr(r, r, n, bits, fill);
	if (count >= 64 * n)
		long_copy(r, n, r, 0, fill);
}

/* Bits low … low + width - 1 of `r` become those of `a`, which stands there already. */
INLINE void long_insert(u64 *r, const u64 *a, u32 n, u32 low, u32 width)
{
	LONG_FROM2(r, a);
	LONG_LOOP for (u32 i = 0; i < n; i++) {
		u32 from = low > 64 * i ? low - 64 * i : 0;
		u32 to = low + width > 64 * i ? low + width - 64 * i : 0;
		u64 hole = from < 64 ? ONES64(to) & ~ONES64(from) : 0;
		r[i] = (r[i] & ~hole) | (a[i] & hole);
	}
	LONG_DONE;
}

#endif
