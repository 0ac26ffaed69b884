/* SPDX-License-Identifier: MIT */
/*
 * A processor's armed timers are one list in deadline order: a handful of each VM, and one of each vCPU whose guest has armed
 * its own. Arming one costs some nine ticks for each that comes before it, whoever's it is; for so few a list beats
 * anything cleverer. It is linked both ways, because arming a guest's TSC deadline is a path we count:
 * a timer that moves and keeps its place looks at its neighbours only.
 */
#include "hv/timer.h"

#include <stddef.h>

#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/processor.h"

static timer_bill_fn *bill_fn;	/* constant after the scheduler's start */

uint64_t mul_div64(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t low = a, high, rest;

	/* MUL and DIV of 128 by 64 bits; C would call the compiler's library for the division. */
	__asm__("mulq %2" : "=d"(high), "+a"(low) : "r"(b) : "cc");
	if (high >= c)
		return UINT64_MAX;
	__asm__("divq %2" : "+a"(low), "=d"(rest) : "r"(c), "1"(high) : "cc");
	return low;
}

void timer_init(struct timer *timer, void (*fire)(void *), void *ctx)
{
	*timer = (struct timer){ .deadline = TIMER_NEVER, .fire = fire, .ctx = ctx };
}

bool timer_is_armed(const struct timer *timer)
{
	return timer->list;
}

uint64_t timer_first(const struct timer_list *list)
{
	return list->first ? list->first->deadline : TIMER_NEVER;
}

uint64_t timer_next(void)
{
	return timer_first(&host_processor()->timers);
}

void timer_set_bill(timer_bill_fn *bill)
{
	bill_fn = bill;
}

static void timer_unlink(struct timer *timer)
{
	if (!timer_is_armed(timer))
		return;
	if (timer->prev)
		timer->prev->next = timer->next;
	else
		timer->list->first = timer->next;
	if (timer->next)
		timer->next->prev = timer->prev;
	timer->next = timer->prev = NULL;
	timer->list = NULL;
	timer->deadline = TIMER_NEVER;
}

static void timer_link(struct timer_list *list, struct timer *timer, uint64_t deadline)
{
	struct timer **link = &list->first, *prev = NULL;

	for (; *link && (*link)->deadline <= deadline; link = &(*link)->next)
		prev = *link;
	timer->deadline = deadline;
	timer->list = list;
	timer->prev = prev;
	timer->next = *link;
	if (timer->next)
		timer->next->prev = timer;
	*link = timer;
}

static void timer_tell(const struct timer_list *list, uint64_t before)
{
	const uint64_t after = timer_first(list);

	if (after != before && list->on_change)
		list->on_change(after, list->ctx);
}

void timer_disarm(struct timer *timer)
{
	const struct timer_list *list = timer->list;
	uint64_t before;

	if (!list)
		return;
	before = timer_first(list);
	timer_unlink(timer);
	timer_tell(list, before);
}

void timer_take_out(const struct turn *payer, struct timer_list *out)
{
	const struct timer_list *list = &host_processor()->timers;
	uint64_t before = timer_first(list);
	struct timer *next;

	for (struct timer *timer = list->first; timer; timer = next) {
		const uint64_t deadline = timer->deadline;

		next = timer->next;
		if (timer->payer != payer)
			continue;
		timer_unlink(timer);
		timer_link(out, timer, deadline);
	}
	timer_tell(list, before);
}

void timer_put_in(struct timer_list *in)
{
	struct timer_list *list = &host_processor()->timers;
	uint64_t before = timer_first(list);
	struct timer *timer;

	while ((timer = in->first)) {
		const uint64_t deadline = timer->deadline;

		timer_unlink(timer);
		timer_link(list, timer, deadline);
	}
	timer_tell(list, before);
}

/* Is an armed timer still in order with its neighbours at another deadline? */
static bool keeps_place(const struct timer *timer, uint64_t deadline)
{
	return (!timer->prev || timer->prev->deadline <= deadline) &&
	       (!timer->next || deadline <= timer->next->deadline) && deadline != TIMER_NEVER;
}

__attribute__((noinline)) static void timer_move(struct timer *timer, uint64_t deadline)
{
	struct timer_list *list = timer->owner ? timer->owner : timer->list ? timer->list : &host_processor()->timers;
	uint64_t before = timer_first(list);

	timer_unlink(timer);
	if (deadline != TIMER_NEVER)
		timer_link(list, timer, deadline);
	timer_tell(list, before);
}

void timer_arm(struct timer *timer, uint64_t deadline)
{
	if (!timer->list || !keeps_place(timer, deadline)) {
		timer_move(timer, deadline);
	} else if (timer->prev) {
		timer->deadline = deadline;
	} else {			/* it is the first, and stays it */
		const uint64_t before = timer->deadline;

		timer->deadline = deadline;
		timer_tell(timer->list, before);
	}
}

static uint64_t bill(struct turn *payer, uint64_t since)
{
	return payer && bill_fn ? bill_fn(payer, since) : 0;
}

/* Whoever has the timers fired sets the host's own behind all of them: none is told of each. */
static void fire(struct timer *timer)
{
	timer_unlink(timer);
	timer->fire(timer->ctx);	/* it may free the timer */
}

void timer_list_run(struct timer_list *list)
{
	const uint64_t now = time_now();

	while (timer_first(list) <= now)
		fire(list->first);
}

bool timer_run_own(const struct turn *vm, uint64_t now)
{
	const struct timer_list *list = &host_processor()->timers;

	while (timer_first(list) <= now) {
		if (!list->first->payer || list->first->payer->vm != vm)
			return false;
		fire(list->first);
	}
	return true;
}

void timer_run_due(void)
{
	const struct timer_list *list = &host_processor()->timers;
	uint64_t now = time_now(), free_since = 0;	/* no timer has been at work since then */

	/* `now` is read once: a timer that re-arms itself waits for the next round whatever its period. */
	while (timer_first(list) <= now) {
		struct timer *timer = list->first;
		uint64_t wait = bill(timer->payer, max_u64(timer->deadline, free_since));

		if (wait) {
			timer_arm(timer, now + wait);
			continue;
		}
		fire(timer);
		free_since = time_now();
	}
}
