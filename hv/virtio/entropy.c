/* SPDX-License-Identifier: MIT */
/*
 * Random bytes for guests. Contract in entropy.h.
 *
 * A hardware generator may run dry for a moment (carry clear: try again, SDM vol. 1, 7.3.17.1) and
 * may be broken: some AMD processors return all ones with the carry set after a resume. A value of
 * all ones or the same value twice in a row therefore counts as "none", at a loss of one value in
 * 2^63.
 */
#include "hv/virtio/entropy.h"

#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/timer.h"

#define HW_TRIES	10U	/* what the manual recommends for RDRAND */
#define WORD_BITS	32U
#define DOUBLE_ROUNDS	10U	/* ChaCha20 */
#define KEY_FIRST	4U	/* state: 4 constants, 8 words of key, 2 of counter, 2 of nonce */
#define KEY_WORDS	8U
#define COUNTER_WORD	12U
#define JITTER_SAMPLES	64U	/* time-stamp differences per key word */

static bool try_source(struct entropy *entropy, host_random_fn *generate, uint64_t *val)
{
	for (unsigned i = 0; i < HW_TRIES; i++) {
		if (generate(val) && *val != UINT64_MAX && *val != entropy->last) {
			entropy->last = *val;
			return true;
		}
		host_pause();
	}
	return false;
}

static bool hw_random(struct entropy *entropy, uint64_t *val)
{
	host_random_fn *source;

	for (unsigned n = 0; (source = host_random_source(n)); n++)
		if (try_source(entropy, source, val))
			return true;
	return false;
}

/* ---- The fallback ------------------------------------------------------ */

static uint32_t rotate(uint32_t val, unsigned n) { return val << n | val >> (WORD_BITS - n); }

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b; *d = rotate(*d ^ *a, 16);
	*c += *d; *b = rotate(*b ^ *c, 12);
	*a += *b; *d = rotate(*d ^ *a, 8);
	*c += *d; *b = rotate(*b ^ *c, 7);
}

/* One block of RFC 8439, 2.3 "The ChaCha20 Block Function". */
static void chacha_block(const uint32_t state[ENTROPY_WORDS], uint32_t out[ENTROPY_WORDS])
{
	memcpy(out, state, ENTROPY_WORDS * sizeof(out[0]));
	for (unsigned round = 0; round < DOUBLE_ROUNDS; round++) {
		for (unsigned i = 0; i < 4; i++)
			quarter_round(&out[i], &out[4 + i], &out[8 + i], &out[12 + i]);
		for (unsigned i = 0; i < 4; i++)
			quarter_round(&out[i], &out[4 + (i + 1) % 4], &out[8 + (i + 2) % 4],
				      &out[12 + (i + 3) % 4]);
	}
	for (unsigned i = 0; i < ENTROPY_WORDS; i++)
		out[i] += state[i];
}

/*
 * How long a few instructions take varies with caches, interrupts of the machine and, in an
 * emulator, its host. The low bits of many differences are folded into one word. On a quiet
 * machine this may hold very few bits of real uncertainty: the reason why the log warns.
 */
static uint32_t jitter_word(void)
{
	uint64_t last = time_now();
	uint32_t word = (uint32_t)last;

	for (unsigned i = 0; i < JITTER_SAMPLES; i++) {
		uint64_t now;

		host_pause();
		now = time_now();
		word = rotate(word, 5) ^ (uint32_t)(now - last);
		last = now;
	}
	return word;
}

static void seed_fallback(struct entropy *entropy)
{
	static const uint32_t constants[KEY_FIRST] = {
		0x61707865, 0x3320646e, 0x79622d32, 0x6b206574,		/* "expand 32-byte k" */
	};

	memcpy(entropy->state, constants, sizeof(constants));
	for (unsigned i = 0; i < KEY_WORDS; i++)
		entropy->state[KEY_FIRST + i] = jitter_word();
	entropy->is_seeded = true;
	log_warn("entropy: no working RDSEED or RDRAND: random numbers come from clock jitter");
	log_warn("entropy: these are NOT cryptographically secure; make no keys in such a guest");
}

/*
 * 32 bytes of output; the other half of the block becomes the next key, so that old output cannot
 * be recomputed.
 */
static size_t fallback_bytes(struct entropy *entropy, uint8_t *to, size_t len)
{
	uint32_t block[ENTROPY_WORDS];

	if (!entropy->is_seeded)
		seed_fallback(entropy);
	entropy->state[COUNTER_WORD]++;
	entropy->state[COUNTER_WORD + 1] ^= (uint32_t)time_now();
	chacha_block(entropy->state, block);
	memcpy(&entropy->state[KEY_FIRST], block, KEY_WORDS * sizeof(block[0]));
	len = min_size(len, KEY_WORDS * sizeof(block[0]));
	memcpy(to, &block[KEY_WORDS], len);
	return len;
}

size_t entropy_fill(void *ctx, uint8_t *to, size_t len)
{
	struct entropy *entropy = ctx;
	size_t done = 0;

	while (done < len) {
		uint64_t val;
		size_t part = min_size(len - done, sizeof(val));

		if (hw_random(entropy, &val))
			memcpy(to + done, &val, part);
		else
			part = fallback_bytes(entropy, to + done, len - done);
		done += part;
	}
	return done;
}
