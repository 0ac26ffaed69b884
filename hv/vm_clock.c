/* SPDX-License-Identifier: MIT */
/* A clock that can stand still (contract in vm_clock.h). */
#include "hv/vm_clock.h"

void vm_clock_set(struct vm_clock *clock, uint64_t time)
{
	clock->s.time = time;
	clock->offset = time - time_now();
}

void vm_clock_after_load(void *device)
{
	struct vm_clock *clock = device;

	if (clock->s.time > VM_CLOCK_MAX)
		vm_clock_set(clock, VM_CLOCK_MAX);
}

void vm_clock_start(struct vm_clock *clock)
{
	if (clock->is_running)
		return;
	clock->is_running = true;
	vm_clock_set(clock, clock->s.time);
}

void vm_clock_stop(struct vm_clock *clock)
{
	clock->s.time = vm_clock_now(clock);
	clock->is_running = false;
}

void vm_clock_timer(const struct vm_clock *clock, struct timer *timer, void (*fire)(void *), void *ctx)
{
	timer_init(timer, fire, ctx);
	timer->payer = clock->payer;
	timer->owner = clock->timers;
}

void vm_clock_arm(const struct vm_clock *clock, struct timer *timer, uint64_t deadline)
{
	uint64_t now = vm_clock_now(clock);

	if (deadline == TIMER_NEVER)
		timer_disarm(timer);
	else
		vm_clock_arm_in(clock, timer, now, deadline > now ? deadline - now : 0);
}
