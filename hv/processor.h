/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What one processor of the host owns, in words that know no x86: its half of the scheduler and its timers. Only that
 * processor touches its block, so nothing in it needs a lock. host_processor (hv/host.h) finds it.
 */
#include <stdint.h>

#include "hv/timer.h"
#include "hv/turn.h"

struct processor {
	struct turns      turns;	/* the run queue: who takes turns here, and who pays now */
	struct timer_list timers;	/* armed here, and fired here */
	struct timer      turn_end;	/* ends the turn of a vCPU where virtualization has no timer for it */
	uint64_t          yields;	/* how often a party gave up its place here */
};
