/* SPDX-License-Identifier: MIT */
/*
 * Timers, a periodic one and a sleep for each worker, which goes from processor to processor: none may come early, and
 * each must come. How late they are is not looked at: a busy machine is late.
 */
#define _GNU_SOURCE
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { PERIOD_NS = 2000000, SLEEP_NS = 300000 };

static uint64_t now_ns(void)
{
	struct timespec now;

	need(!clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_once(void)
{
	const struct timespec length = {.tv_nsec = SLEEP_NS};
	uint64_t before = now_ns();

	need(!nanosleep(&length, NULL), "nanosleep");
	if (now_ns() - before < SLEEP_NS)
		fail("a sleep was %llu ns too short", (unsigned long long)(SLEEP_NS - (now_ns() - before)));
}

static void work(unsigned worker, void *argument)
{
	const struct itimerspec period = {.it_interval.tv_nsec = PERIOD_NS, .it_value.tv_nsec = PERIOD_NS};
	unsigned rounds = *(const unsigned *)argument;
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t before = now_ns(), fired = 0;

	need(timer >= 0 && !timerfd_settime(timer, 0, &period, NULL), "timerfd");
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t more;

		move_to(worker + round);
		need(read(timer, &more, sizeof more) == sizeof more, "read");
		fired += more;
		if (now_ns() - before < fired * PERIOD_NS)
			fail("a timer has fired %llu times in %llu ns", (unsigned long long)fired, (unsigned long long)(now_ns() - before));
		sleep_once();
	}
}

uint64_t timer_part(uint64_t seed, unsigned rounds)
{
	in_processes(work, &rounds);
	return mix(seed, rounds);
}
