/* SPDX-License-Identifier: MIT */
#pragma once
/* Bit and field helpers: the only shifts in the logic of the tree. */
#include <stdbool.h>
#include <stdint.h>

#define BITS_PER_BYTE	8U
#define BIT(n)		(1ULL << (n))
/* A field from bit lo to bit hi, as a mask. */
#define FIELD(hi, lo)	(((~0ULL) >> (63 - (hi))) & ~(BIT(lo) - 1))

/* Value of a masked field, and a word with the field replaced. */
static inline uint64_t field_get(uint64_t word, uint64_t mask)
{
	return (word & mask) / (mask & -mask);
}

static inline uint64_t field_set(uint64_t word, uint64_t mask, uint64_t val)
{
	return (word & ~mask) | ((val * (mask & -mask)) & mask);
}

static inline uint64_t lo32(uint64_t val) { return val & 0xffffffffULL; }
static inline uint64_t hi32(uint64_t val) { return val >> 32; }
static inline uint64_t join32(uint64_t hi, uint64_t lo) { return (hi << 32) | lo32(lo); }

/* All ones of an access to a bus: 1 to 8 bytes. */
static inline uint64_t access_mask(unsigned bytes) { return ~0ULL >> (64 - 8 * bytes); }
/* The same of an operand, which may have more bytes; the first 8 are meant then. */
static inline uint64_t size_mask(unsigned bytes) { return bytes >= 8 ? ~0ULL : (1ULL << (bytes * 8)) - 1; }

static inline uint64_t sign_extend(uint64_t val, unsigned bytes)
{
	unsigned shift = 64 - bytes * 8;

	return bytes >= 8 ? val : (uint64_t)((int64_t)(val << shift) >> shift);
}

/* With 48 linear bits: 63..47 all equal. */
static inline bool is_canonical(uint64_t val) { return (uint64_t)((int64_t)(val << 16) >> 16) == val; }
