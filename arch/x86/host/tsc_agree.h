/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Do the time-stamp counters of two processors agree? The clocks of all guests derive from the host's TSC,
 * and a vCPU that goes to a processor whose counter is behind would see time go backwards.
 *
 * The boot processor answers while another one, which starts, asks: both look at their counters in turn. Only one may
 * start at a time.
 */
#include <stdbool.h>
#include <stdint.h>

/* The other's counter is ahead of ours by at least `low` ticks and at most `high`; negative: behind. */
struct tsc_bounds { int64_t low, high; };

#define TSC_BOUNDS_NONE	((struct tsc_bounds){ INT64_MIN, INT64_MAX })

/* An exchange: our counter, then the other's, then ours again. Pure. */
void tsc_bounds_add(struct tsc_bounds *bounds, uint64_t before, uint64_t other, uint64_t after);

/* The distance, in ticks, that is certain by now; 0: the two may be the same. Pure. */
uint64_t tsc_distance(const struct tsc_bounds *bounds);

void     tsc_prepare(void);		/* by the boot processor, before the other one starts */
bool     tsc_answer(uint64_t ticks);	/* then while it does; false: it did not ask as often as it has to within so many ticks */
uint64_t tsc_ask(void);			/* by the other one: its distance to the boot processor's */
