/* SPDX-License-Identifier: MIT */
/*
 * A lock that is not dropped, and the checks of `make DEBUG=1` (contract in lock.h). Each processor notes what it holds in its
 * own block: no race.
 */
#include "hv/lock.h"

#include <stddef.h>

#include "hv/host.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/processor.h"

static const char *const names[LOCK_RANKS] = {
	[LOCK_MACHINE] = "machine",
	[LOCK_MEMORY] = "memory",
	[LOCK_ACCOUNTS] = "accounts",
	[LOCK_PAGES] = "pages",
	[LOCK_LONGEST] = "longest",
	[LOCK_INPUT] = "input",
	[LOCK_LOG] = "log",
};

void lock_stuck(const struct lock *lock)
{
	panic("the lock \"%s\" is not dropped", names[lock->rank]);
}

void lock_check_take(const struct lock *lock)
{
	const struct lock **held = host_processor()->locks.by_rank;

	for (unsigned rank = lock->rank; rank < LOCK_RANKS; rank++)
		if (held[rank])
			panic("lock order: \"%s\" is wanted while \"%s\" is held", names[lock->rank], names[rank]);
	held[lock->rank] = lock;
}

void lock_check_drop(const struct lock *lock)
{
	const struct lock **held = host_processor()->locks.by_rank;

	if (held[lock->rank] != lock)
		panic("lock order: \"%s\" is dropped by a processor that does not hold it", names[lock->rank]);
	held[lock->rank] = NULL;
}

void lock_check_held(const struct lock *lock)
{
	if (host_processor()->locks.by_rank[lock->rank] != lock)
		panic("lock order: what \"%s\" guards is touched by a processor that does not hold it", names[lock->rank]);
}

/* Read of a processor that was stopped anywhere: the last one may be waited for. */
void lock_check_log(const struct locks_held *locks)
{
	for (unsigned rank = 0; rank < LOCK_RANKS; rank++)
		if (locks->by_rank[rank])
			log_say("  it holds, or waits for, the lock \"%s\"", names[rank]);
}
