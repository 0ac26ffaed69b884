/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a vCPU did lately: the last exits (reason and RIP) in a ring, and how often each reason
 * came. The dump prints both with the names of the vendor's exit table.
 */
#include <stdint.h>

#define TRACE_RING	16U	/* power of two */
#define TRACE_REASONS	160U	/* dense exit numbers; larger ones share the last slot */

struct trace_entry { uint64_t rip, reason; };

struct trace {
	uint64_t           written;	/* bytes of entries so far: one instruction shorter than a count at every exit */
	uint32_t           count[TRACE_REASONS];
	struct trace_entry ring[TRACE_RING];
};

static inline uint64_t trace_total(const struct trace *trace)
{
	return trace->written / sizeof(struct trace_entry);
}

static inline uint32_t trace_last(const struct trace *trace)
{
	return (uint32_t)trace->ring[(trace_total(trace) - 1) % TRACE_RING].reason;
}

static inline void trace_exit(struct trace *trace, uint64_t reason, uint64_t rip)
{
	uint64_t at = trace->written % sizeof(trace->ring);

	*(struct trace_entry *)(void *)((uint8_t *)trace->ring + at) = (struct trace_entry){ rip, reason };
	trace->written += sizeof(struct trace_entry);
	trace->count[reason < TRACE_REASONS ? reason : TRACE_REASONS - 1]++;
}
