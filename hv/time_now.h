/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The host's time-stamp counter. Inline, for the scheduler and each deadline of a guest read it, and a call would cost
 * them the registers that a function may change. Unit tests have their own header of this name, and so their own time.
 * arch/x86/hw/insn.h has this instruction a second time: hv/ may not include it (scripts/drawing.py), and it includes nothing of hv/.
 */
#include <stdint.h>

static inline uint64_t time_now(void)
{
	uint64_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));	/* it clears the upper halves of both */
	return high << 32 | low;
}
