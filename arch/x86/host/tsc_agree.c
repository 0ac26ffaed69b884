/* SPDX-License-Identifier: MIT */
/*
 * One round of the comparison (contract in tsc_agree.h):
 *
 *	the one that starts		the boot processor
 *	before = its TSC
 *	asked = round
 *					sees asked == round
 *					stamp = its TSC
 *					answered = round
 *	sees answered == round
 *	after = its TSC
 *
 * `stamp` was read between `before` and `after`. So the boot processor's counter is ahead by at least stamp -
 * after ticks and by at most stamp - before. Each round narrows the range, and when 0 is outside of it the
 * two counters are not the same: somebody who passes a time from one processor to the other would see it run
 * backwards. A difference that is smaller than what an exchange takes stays unnoticed, by us as by guests.
 */
#include "arch/x86/host/tsc_agree.h"

#include "arch/x86/hw/insn.h"

#define ROUNDS	64U

static struct {
	uint32_t asked, answered;	/* rounds, from 1 */
	uint64_t stamp;
} talk;

void tsc_bounds_add(struct tsc_bounds *bounds, uint64_t before, uint64_t other, uint64_t after)
{
	const int64_t low = (int64_t)(other - after), high = (int64_t)(other - before);

	if (low > bounds->low)
		bounds->low = low;
	if (high < bounds->high)
		bounds->high = high;
}

uint64_t tsc_distance(const struct tsc_bounds *bounds)
{
	if (bounds->low > 0)
		return (uint64_t)bounds->low;
	return bounds->high < 0 ? -(uint64_t)bounds->high : 0;
}

/* RDTSC may be executed before the loads that precede it, and stores be seen late: both wait for the fence. */
static uint64_t fenced_tsc(void)
{
	cpu_fence();
	return rdtsc();
}

static uint32_t load(const uint32_t *round) { return __atomic_load_n(round, __ATOMIC_ACQUIRE); }
static void store(uint32_t *round, uint32_t val) { __atomic_store_n(round, val, __ATOMIC_RELEASE); }

void tsc_prepare(void)
{
	talk.asked = talk.answered = 0;
}

bool tsc_answer(uint64_t ticks)
{
	uint64_t start = rdtsc();

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		while (load(&talk.asked) != round) {
			if (rdtsc() - start >= ticks)
				return false;
			cpu_pause();
		}
		talk.stamp = fenced_tsc();
		store(&talk.answered, round);
	}
	return true;
}

/* Whoever is not answered is not wanted any more: an INIT ends the wait. */
uint64_t tsc_ask(void)
{
	struct tsc_bounds bounds = TSC_BOUNDS_NONE;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		uint64_t before = fenced_tsc();

		store(&talk.asked, round);
		while (load(&talk.answered) != round)
			cpu_pause();
		tsc_bounds_add(&bounds, before, talk.stamp, fenced_tsc());
	}
	return tsc_distance(&bounds);
}
