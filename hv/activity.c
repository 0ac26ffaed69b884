/* SPDX-License-Identifier: MIT */
/* What a vCPU did with its time (contract in activity.h). */
#include "hv/activity.h"

#include "hv/lib/util.h"

void activity_change(struct activities *of, enum activity to, uint64_t now, const uint64_t *used, uint32_t vms)
{
	if (of->now == to)
		return;
	of->ticks[of->now] += excess_u64(now, of->since);	/* a processor it left may be a little ahead */
	of->since = now;
	for (uint32_t i = 0; i < vms; i++) {
		if (of->now == ACTIVITY_READY)
			of->waited_for[i] += used[i] - of->before[i];
		of->before[i] = used[i];
	}
	of->now = to;
}
