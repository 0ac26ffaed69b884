/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a vCPU did lately: the last exits (reason, RIP, qualification) in a ring, and how often each reason
 * came. The dump prints both with the names of the vendor's exit table.
 */
#include <stdint.h>

#define TRACE_RING	16U	/* power of two */
#define TRACE_REASONS	160U	/* dense exit numbers; larger ones share the last slot */

struct trace_entry { uint64_t rip, qual; uint32_t reason; uint32_t pad; };

struct trace {
	uint64_t           total;
	uint32_t           count[TRACE_REASONS];
	struct trace_entry ring[TRACE_RING];
};

static inline void trace_exit(struct trace *trace, uint32_t reason, uint64_t rip, uint64_t qual)
{
	trace->ring[trace->total++ % TRACE_RING] = (struct trace_entry){ rip, qual, reason, 0 };
	trace->count[reason < TRACE_REASONS ? reason : TRACE_REASONS - 1]++;
}
