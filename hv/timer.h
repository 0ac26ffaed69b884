/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Time and one-shot deadlines. The unit is the tick of the host's time-stamp counter, everywhere: a VM's
 * clock (vm_clock.h) counts them too, from its start and with pauses. Devices convert with time_hz() and mul_div64().
 *
 * A deadline's callback runs in the scheduler loop of the processor in whose list it is, never in an
 * interrupt handler and never inside a device call, so it may touch devices freely. Timers belong to
 * their embedding struct; timer_disarm before freeing it.
 *
 * Each processor has a list of its own (hv/processor.h), and nothing here takes a lock: arming a guest's TSC
 * deadline is a path we count. So an armed timer is moved and disarmed only by the processor that armed it,
 * and when a vCPU moves to another processor its timers do (home.c). A timer may belong to another list
 * instead, whose owner says who may touch it and calls what is due: the devices of a VM have one (vm_timers.h).
 *
 * The time that a timer takes, the interrupt included, is charged to its payer (turn.h). While the payer is in debt its
 * timers are called late.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/time_now.h"

#define TIMER_NEVER	UINT64_MAX

struct turn;

/* The earliest deadline first. */
struct timer_list {
	struct timer *first;
	/*
	 * The earliest deadline has changed (TIMER_NEVER: none left). A processor's own timer follows at once, and nobody
	 * has to look at each exit. Not by a timer that fires: whoever calls timer_run_due or its like looks at the list
	 * afterwards. NULL: nobody is told, for the list is on its way between two processors, or its owner does so, too.
	 */
	void        (*on_change)(uint64_t deadline, void *ctx);
	void         *ctx;
};

struct timer {
	uint64_t      deadline;		/* host TSC; TIMER_NEVER when not armed */
	struct timer_list *list;	/* armed there; NULL: not armed */
	struct timer_list *owner;	/* where it is armed; NULL: in the list of the processor that arms it */
	struct timer *next, *prev;	/* in deadline order */
	void        (*fire)(void *ctx);
	void         *ctx;
	struct turn  *payer;		/* who is charged; NULL: nobody, a timer of the hypervisor */
};

uint64_t time_hz(void);		/* the rate of time_now, measured at start */

/* a * b / c without overflow of the product; c != 0; saturates at UINT64_MAX. */
uint64_t mul_div64(uint64_t a, uint64_t b, uint64_t c);

#define NS_PER_SECOND	1000000000ULL
static inline uint64_t ticks_to_ns(uint64_t ticks) { return mul_div64(ticks, NS_PER_SECOND, time_hz()); }

/*
 * Charge the time since `since` to the payer of a processor's timer that is due, and what comes until somebody else is
 * charged. Returns in how many ticks the timer may be called; 0: now.
 */
typedef uint64_t timer_bill_fn(struct turn *payer, uint64_t since);
void timer_set_bill(timer_bill_fn *bill);

void timer_init(struct timer *timer, void (*fire)(void *), void *ctx);
void timer_arm(struct timer *timer, uint64_t deadline);	/* re-arming moves it */
void timer_disarm(struct timer *timer);			/* harmless when not armed */
bool timer_is_armed(const struct timer *timer);
/*
 * The payer moves to another processor: what it has armed here waits in a list for the way, until the other
 * processor puts it into its own.
 */
void timer_take_out(const struct turn *payer, struct timer_list *out);
void timer_put_in(struct timer_list *in);

uint64_t timer_first(const struct timer_list *list);	/* the earliest deadline in it, TIMER_NEVER when there is none */
void timer_list_run(struct timer_list *list);		/* fire all that are due in it; nobody is charged */

uint64_t timer_next(void);	/* this processor's earliest deadline, TIMER_NEVER when none */
void timer_run_due(void);	/* fire everything of this processor's whose deadline has passed */
/*
 * The same for what is due at `now`, while all of it is paid by this VM, for which we work anyhow: nothing is charged. False:
 * the next one is another's, and has not been fired.
 */
bool timer_run_own(const struct turn *vm, uint64_t now);
