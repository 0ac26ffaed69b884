/* SPDX-License-Identifier: MIT */
/* What a vCPU did with its time (contract in activity.h). */
#include "hv/activity.h"

#include "hv/lib/string.h"
#include "hv/lib/util.h"

void activity_change(struct activities *of, enum activity to, uint64_t now, const uint64_t *used, uint32_t vms)
{
	const uint64_t ticks = excess_u64(now, of->since);	/* a processor it left may be a little ahead */

	if (of->now == to)
		return;
	of->ticks[of->now] += ticks;
	of->since = now;
	if (of->now == ACTIVITY_READY && ticks)		/* else it was picked at once, and nobody ran meanwhile */
		for (uint32_t i = 0; i < vms; i++)
			of->waited_for[i] += used[i] - of->before[i];
	if (to == ACTIVITY_READY)
		memcpy(of->before, used, vms * sizeof(*used));
	of->now = to;
}
