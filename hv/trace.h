/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a vCPU did lately: the last exits in a ring, and how often each reason came. It only observes: the dispatcher
 * writes it, dumps and counters read it, and nothing else depends on it.
 */
#include <stdint.h>

#include "arch/x86/exit/record.h"

#define TRACE_RING	16U	/* power of two */
#define TRACE_REASONS	176U	/* at least the rows of either vendor's exit table, which assert it */

struct trace {
	uint64_t           total;			/* exits so far */
	uint32_t           count[TRACE_REASONS];	/* by row of the exit table */
	struct exit_record ring[TRACE_RING];
};

static inline void trace_exit(struct trace *trace, const struct exit_record *record)
{
	trace->ring[trace->total++ % TRACE_RING] = *record;
	trace->count[record->reason]++;
}
