/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Locks between processors. Whoever wants one draws a ticket and waits until that number is served, so everybody is
 * served in the order in which they came. A lock is held for a bounded time, with interrupts off as everywhere
 * in the hypervisor, and an interrupt handler takes none but the log's (drivers/uart16550.c).
 *
 * A processor takes a lock only while all that it holds have lower ranks. So no circle of processors that wait for each
 * other can form. `make DEBUG=1` checks that, and that whoever drops a lock holds it, and panics with the names. Every
 * build panics when a lock is looked at in vain too often (LOCK_LOOKS_MAX).
 */
#include <stdbool.h>
#include <stdint.h>

/* What each lock guards. From low to high: the order in which they may be taken. */
enum lock_rank {
	LOCK_MACHINE,		/* the devices of one VM, their timers and what they put off (spread.h) */
	LOCK_MEMORY,		/* what grows of the memory of one VM: chunks, and nested tables (gpm.c, npt.c) */
	LOCK_ACCOUNTS,		/* how much memory all VMs together were promised, and each one's account (account.c) */
	LOCK_PAGES,		/* which pages of the host are free (page.c, buddy.c) */
	LOCK_LONGEST,		/* the longest piece of work of all VMs (end.c) */
	LOCK_INPUT,		/* what was typed, who takes it, and the list of guests' streams (console_input.c) */
	LOCK_LOG,		/* the log's ring and its sinks (log.c), so all that is printed by them */
	LOCK_RANKS
};

struct lock {
	uint32_t       drawn;	/* the ticket for the next one who comes */
	uint32_t       served;	/* the ticket of the holder; equal to `drawn` while nobody holds the lock */
	enum lock_rank rank;
};

/* What a processor holds, by rank; only `make DEBUG=1` fills it in. */
struct locks_held { const struct lock *by_rank[LOCK_RANKS]; };

#ifdef DEBUG
#define LOCKS_ARE_CHECKED true
#else
#define LOCKS_ARE_CHECKED false
#endif

void lock_check_take(const struct lock *lock);	/* panics unless this processor may take it now */
void lock_check_drop(const struct lock *lock);	/* panics unless this processor holds it */
void lock_check_log(const struct locks_held *locks);	/* a log line for each, by name */
void lock_check_held(const struct lock *lock);	/* the same, for who touches what it guards */

/*
 * Nobody holds a lock for as long as it takes to look at it so often: some 13 s where PAUSE takes 10 cycles, 100 s where it
 * takes 140. It is counted and not timed, because while the whole machine stands still nobody looks.
 */
#define LOCK_LOOKS_MAX	(1U << 31)

_Noreturn void lock_stuck(const struct lock *lock);	/* a panic that names it */

/* The wait is not a function of its own: what calls one keeps registers for it, also where nobody waits. */
static inline void lock_take_within(struct lock *lock, uint32_t looks)
{
	uint32_t ticket;

	if (LOCKS_ARE_CHECKED)
		lock_check_take(lock);
	ticket = __atomic_fetch_add(&lock->drawn, 1, __ATOMIC_RELAXED);
	/* Acquire pairs with the release in lock_drop: we see all that the holder before us wrote. */
	while (__builtin_expect(__atomic_load_n(&lock->served, __ATOMIC_ACQUIRE) != ticket, 0)) {
		if (!--looks)
			lock_stuck(lock);
		__builtin_ia32_pause();
	}
}

static inline void lock_take(struct lock *lock) { lock_take_within(lock, LOCK_LOOKS_MAX); }

/*
 * For who reads the clock behind this: it shows no earlier time than the holder before us has read. RDTSC alone may execute
 * before the lock is ours.
 */
static inline void lock_take_with_clock(struct lock *lock)
{
	lock_take(lock);
	__asm__ volatile("lfence" ::: "memory");
}

static inline void lock_drop(struct lock *lock)
{
	if (LOCKS_ARE_CHECKED)
		lock_check_drop(lock);
	/* Only the holder writes it, so what it reads here cannot change meanwhile. */
	__atomic_store_n(&lock->served, lock->served + 1, __ATOMIC_RELEASE);
}
