/* SPDX-License-Identifier: MIT */
/* A lock that another processor holds, for a time with an end (contract in lock.h). */
#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/panic.h"
#include "hv/timer.h"

#define WAIT_SECONDS	20U	/* more than any is held, the log's at the machine's end included */
#define PIECES_PER_SECOND	1000U

/*
 * The time is added up in pieces that are short: while the whole machine stands still nobody waits. A processor that waits
 * is not seen by watch.c when all wait for the one that hangs.
 */
void lock_wait(const struct lock *lock, uint32_t ticket)
{
	uint64_t last = time_now(), waited = 0;

	while (__atomic_load_n(&lock->served, __ATOMIC_ACQUIRE) != ticket) {
		const uint64_t now = time_now();

		waited += min_u64(now - last, time_hz() / PIECES_PER_SECOND);
		last = now;
		if (waited > WAIT_SECONDS * time_hz())
			panic("the lock \"%s\" is not dropped, since %u s", lock_name(lock), WAIT_SECONDS);
		__builtin_ia32_pause();
	}
}
