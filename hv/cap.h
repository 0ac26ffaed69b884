/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The cap of a VM: at most so many percent of one processor, in pure arithmetic. It holds under every policy (turn.h).
 *
 * An allowance grows with the time, by so many hundredths of it, and shrinks by what the VM uses. When it is
 * used up the VM may not run before it has grown to a quarter of a turn: the VM then runs for a useful while,
 * and not for a few ticks many times. It does not grow beyond two turns: a VM that wanted little for a minute
 * may not have the processor for itself afterwards. What its timers use counts as well, and they wait like
 * the VM.
 */
#include <stdbool.h>
#include <stdint.h>

struct cap {
	uint32_t percent;	/* 0: none */
	bool     is_used_up;
	int64_t  left;		/* the allowance in hundredths of ticks; below 0 when it was overdrawn */
	uint64_t seen, used;	/* up to which moment, and up to which use, it is worked out */
};

void cap_init(struct cap *cap, uint32_t percent, uint64_t turn, uint64_t now);	/* `turn`: its length in ticks */

/* By now it has used so much in all. Returns in how many ticks it may run; 0: at once. */
uint64_t cap_wait(struct cap *cap, uint64_t turn, uint64_t used, uint64_t now);

/* For how many ticks it may run, from the moment of the latest cap_wait, 1 if that has not returned 0; never 0. */
uint64_t cap_left(const struct cap *cap);
