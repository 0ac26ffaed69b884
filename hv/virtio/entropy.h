/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Random bytes from the processor: RDSEED, else RDRAND (SDM vol. 1, 7.3.17 "Random Number
 * Generator Instructions"), else a ChaCha generator keyed from the jitter of the time-stamp
 * counter, which is better than nothing, is NOT cryptographically sound, and says so once in the
 * log.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENTROPY_WORDS	16U	/* a ChaCha block */

struct entropy {
	uint64_t last;			/* hardware value: one that repeats is a broken generator */
	bool     is_seeded;		/* the fallback is in use */
	uint32_t state[ENTROPY_WORDS];	/* of the fallback: constants, key, counter, nonce */
};

/* Always fills all of it. ctx is a struct entropy, zeroed before first use. */
size_t entropy_fill(void *ctx, uint8_t *to, size_t len);
