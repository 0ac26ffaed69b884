/* SPDX-License-Identifier: MIT */
/*
 * One time for all processors: threads that go from one to the other never read a time-stamp counter, or the kernel's
 * clock, that is behind what another thread has already read.
 */
#define _GNU_SOURCE
#include <time.h>
#include <x86intrin.h>

#include "load.h"

struct latest {
	_Atomic uint64_t tsc, ns;
	unsigned rounds;
};

/* In program order: what was read of another thread's lies in front of it. */
static uint64_t read_tsc(void)
{
	uint64_t tsc;

	_mm_lfence();
	tsc = __rdtsc();
	_mm_lfence();
	return tsc;
}

static uint64_t read_ns(void)
{
	struct timespec now;

	need(!clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void look(const char *name, _Atomic uint64_t *latest, uint64_t (*read)(void))
{
	uint64_t before = atomic_load(latest), now = read();

	if (now < before)
		fail("%s went back by %llu", name, (unsigned long long)(before - now));
	while (before < now && !atomic_compare_exchange_weak(latest, &before, now))
		;
}

static void work(unsigned worker, void *argument)
{
	struct latest *latest = argument;

	for (unsigned round = 0; round < latest->rounds; round++) {
		move_to(worker + round);
		for (unsigned i = 0; i < 500; i++) {
			look("the time-stamp counter", &latest->tsc, read_tsc);
			look("the kernel's clock", &latest->ns, read_ns);
		}
	}
}

uint64_t clock_part(uint64_t seed, unsigned rounds)
{
	struct latest latest = {.rounds = rounds};

	in_threads(work, &latest);
	return mix(seed, rounds);
}
