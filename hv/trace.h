/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a vCPU did lately: the last exits in a ring, what each of them was about, and how often each reason
 * came. It only observes: the dispatcher and the handlers of accesses write it, dumps and counters read it,
 * nothing else depends on it.
 */
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/exit/record.h"

#define TRACE_RING	16U	/* power of two */
#define TRACE_REASONS	176U	/* at least the rows of either vendor's exit table, which assert it */

enum touch_kind { TOUCH_NOTHING, TOUCH_OUT, TOUCH_IN, TOUCH_LOAD, TOUCH_STORE, TOUCH_RDMSR, TOUCH_WRMSR, TOUCH_KINDS };

/*
 * What an exit was about: the kind in the topmost byte, below it the port, guest-physical address or MSR; 0:
 * nothing.
 */
#define TOUCH_SHIFT	56

struct trace {
	uint32_t           count[TRACE_REASONS];	/* by row of the exit table */
	struct exit_record ring[TRACE_RING];
	uint64_t           touched[TRACE_RING];		/* by the exit in the same slot of the ring */
};

/* n: the number of this exit, from 0. */
static inline void trace_exit(struct trace *trace, uint64_t n, const struct exit_record *record)
{
	trace->ring[n % TRACE_RING] = *record;
	trace->touched[n % TRACE_RING] = 0;
	trace->count[record->reason]++;
}
