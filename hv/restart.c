/* SPDX-License-Identifier: MIT */
/* When a VM that ended starts again (contract in restart.h). */
#include "hv/restart.h"

#include "hv/lib/util.h"

uint32_t restart_wait(struct restarts *restarts, bool has_crashed, uint64_t seconds_of_life)
{
	if (seconds_of_life >= RESTART_LIFE)
		*restarts = (struct restarts){ 0 };
	else
		restarts->wait = restarts->wait ? (uint32_t)min_u64(restarts->wait * 2, RESTART_WAIT_MAX) : 1;
	if (!has_crashed)
		return restarts->wait;
	restarts->crashes = seconds_of_life < RESTART_CRASH_LIFE ? restarts->crashes + 1 : 0;
	return restarts->crashes < RESTART_CRASHES_MAX ? restarts->wait : RESTART_NEVER;
}
