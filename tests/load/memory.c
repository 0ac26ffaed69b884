/* SPDX-License-Identifier: MIT */
/*
 * Checksums over memory that processes share: in each round every worker makes its stripe of one half from words all
 * over the other half, which the others wrote in the round before.
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "load.h"

enum { WORDS = 16384, STRIPE = WORDS / WORKERS, STRIDE = 4099 };	/* 32 pages a half; the stride is odd and leaves none out */

struct halves {
	pthread_barrier_t barrier;
	unsigned rounds;
	uint64_t words[2][WORDS];
};

static void work(unsigned worker, void *argument)
{
	struct halves *halves = argument;

	for (unsigned round = 0; round < halves->rounds; round++) {
		const uint64_t *from = halves->words[round % 2];
		uint64_t *to = halves->words[(round + 1) % 2];

		pthread_barrier_wait(&halves->barrier);
		for (unsigned i = worker * STRIPE; i < (worker + 1) * STRIPE; i++)
			to[i] = mix(from[(i * STRIDE + round) % WORDS], i);
	}
}

uint64_t memory_part(uint64_t seed, unsigned rounds)
{
	struct halves *halves = shared_memory(sizeof *halves);
	pthread_barrierattr_t among_processes;
	uint64_t sum = seed;

	pthread_barrierattr_init(&among_processes);
	pthread_barrierattr_setpshared(&among_processes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&halves->barrier, &among_processes, WORKERS);
	halves->rounds = rounds;
	for (unsigned i = 0; i < WORDS; i++)
		halves->words[0][i] = mix(seed, i);
	in_processes(work, halves);
	for (unsigned i = 0; i < WORDS; i++)
		sum = mix(sum, halves->words[rounds % 2][i]);
	return sum;
}
