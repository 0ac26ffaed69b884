/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a vCPU did with its time. At any moment it does exactly one of five things, so the five sum to the time since it
 * was first counted. While it was ready, other VMs used the processor: for whom it waited how long is counted as well,
 * which names a noisy neighbour.
 */
#include <stdint.h>

#include "boot/handoff.h"

enum activity {
	ACTIVITY_PAUSED,	/* its VM starts, is taken apart, waits for its next start, or is on its way to another home */
	ACTIVITY_RUN,
	ACTIVITY_READY,		/* wants the processor, and others have it */
	ACTIVITY_LIMITED,	/* wants it, and its VM has used up its cap */
	ACTIVITY_HALTED,	/* waits for an interrupt, or to be started */
	ACTIVITIES
};

struct activities {
	enum activity now;
	uint64_t      since;			/* the moment at which this began, */
	uint64_t      before[HANDOFF_VMS_MAX];	/* and what each VM had used by then, if it is READY */
	uint64_t      ticks[ACTIVITIES];	/* up to then */
	uint64_t      waited_for[HANDOFF_VMS_MAX];	/* READY while that VM used the processor */
};

/*
 * From `now` on it does that. `used` says what each VM has used by now, of `vms` VMs. It counts only where
 * READY begins or ends: at other changes `vms` may be 0.
 */
void activity_change(struct activities *of, enum activity to, uint64_t now, const uint64_t *used, uint32_t vms);

/* For how many ticks it wanted a processor and had none. */
static inline uint64_t activity_waited(const struct activities *of)
{
	return of->ticks[ACTIVITY_READY] + of->ticks[ACTIVITY_LIMITED];
}
