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

enum touch_kind { TOUCH_OUT, TOUCH_IN, TOUCH_LOAD, TOUCH_STORE, TOUCH_RDMSR, TOUCH_WRMSR, TOUCH_KINDS };

/* The port, guest-physical address or MSR that an exit was about; kept beside that exit in the ring. */
struct touch {
	uint64_t exit;		/* trace.total at that time: an older one means that the exit touched nothing */
	uint64_t what;		/* the address, with enum touch_kind in the topmost byte */
};

#define TOUCH_SHIFT	56

struct trace {
	uint64_t           total;			/* exits so far */
	uint32_t           count[TRACE_REASONS];	/* by row of the exit table */
	struct exit_record ring[TRACE_RING];
	struct touch       touched[TRACE_RING];
};

static inline void trace_exit(struct trace *trace, const struct exit_record *record)
{
	trace->ring[trace->total++ % TRACE_RING] = *record;
	trace->count[record->reason]++;
}

static inline void trace_touch(struct trace *trace, enum touch_kind kind, uint64_t addr)
{
	trace->touched[trace->total % TRACE_RING] = (struct touch){ trace->total, (uint64_t)kind << TOUCH_SHIFT | addr };
}

/* What exit number n, counted from 0, touched; NULL: nothing, or it is too long ago. */
static inline const struct touch *trace_touched(const struct trace *trace, uint64_t n)
{
	const struct touch *touch = &trace->touched[(n + 1) % TRACE_RING];

	return touch->exit == n + 1 ? touch : NULL;
}
