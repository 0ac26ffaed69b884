/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * When a VM that ended starts again. One that resets or crashes soon after its start, again and again, costs
 * everybody time at each start and says a line at each end: it waits longer each time. One that crashes at once
 * several times in a row stays down.
 */
#include <stdbool.h>
#include <stdint.h>

#define RESTART_NEVER		UINT32_MAX
#define RESTART_WAIT_MAX	60U	/* seconds */
#define RESTART_LIFE		60U	/* who has run for so many seconds starts with a clean record */
#define RESTART_CRASHES_MAX	5U	/* who crashes so often in a row... */
#define RESTART_CRASH_LIFE	10U	/* ...each time within so many seconds of its start stays down */

struct restarts {
	uint32_t wait;		/* seconds, before the latest start; 0: none */
	uint32_t crashes;	/* in a row, each soon after a start */
};

/* It ended after so many seconds and is to start again: in how many seconds, or RESTART_NEVER. */
uint32_t restart_wait(struct restarts *restarts, bool has_crashed, uint64_t seconds_of_life);
