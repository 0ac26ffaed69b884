/* SPDX-License-Identifier: MIT */
/*
 * A storm of futexes: threads hand a word around in a ring, and each sleeps in the kernel until it is its turn. A
 * wake-up that is lost stops all of them. Between two turns they quarrel about a mutex for a sum that has no order.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

struct ring {
	_Atomic uint32_t turn;		/* the turn of the worker that it leaves, divided by WORKERS */
	uint64_t word;			/* of whose turn it is */
	pthread_mutex_t mutex;
	uint64_t sum;			/* of whoever holds the mutex */
	unsigned rounds;
};

static void futex(struct ring *ring, int what, uint32_t value)
{
	need(syscall(SYS_futex, &ring->turn, what, value, NULL, NULL, 0) >= 0 || errno == EAGAIN || errno == EINTR, "futex");
}

static void work(unsigned worker, void *argument)
{
	struct ring *ring = argument;

	for (unsigned round = 0; round < ring->rounds; round++) {
		uint32_t turn;

		while ((turn = atomic_load(&ring->turn)) % WORKERS != worker)
			futex(ring, FUTEX_WAIT_PRIVATE, turn);
		ring->word = mix(ring->word, worker);
		atomic_store(&ring->turn, turn + 1);
		futex(ring, FUTEX_WAKE_PRIVATE, WORKERS);
		for (unsigned i = 0; i < 32; i++) {
			pthread_mutex_lock(&ring->mutex);
			ring->sum += mix(worker, round * 32 + i);
			pthread_mutex_unlock(&ring->mutex);
		}
	}
}

uint64_t futex_part(uint64_t seed, unsigned rounds)
{
	struct ring ring = {.word = seed, .mutex = PTHREAD_MUTEX_INITIALIZER, .rounds = rounds};

	in_threads(work, &ring);
	return mix(ring.word, ring.sum);
}
