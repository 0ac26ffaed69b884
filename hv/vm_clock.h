/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The VM's own clock. It counts ticks of the host's time-stamp counter (time_hz() a second) from the start of the
 * VM, and it can stand still: while the VM is paused, saved or loaded, no time passes for the guest. The guest's TSC,
 * its paravirtual clock and each device derive from it; what they show a guest never comes from the host's clock.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/timer.h"

/* The largest time a saved state may bring: a century, and far from where sums of times wrap. */
#define VM_CLOCK_MAX	(1ULL << 62)

struct vm_clock_state {
	uint64_t time;			/* ticks when the clock was last stopped or set */
};

struct vm_clock {
	struct vm_clock_state s;
	uint64_t offset;		/* while it runs: VM time minus host TSC, modulo 2^64 */
	bool     is_running;
	struct turn *payer;		/* of the timers that run by this clock */
	struct timer_list *timers;	/* where those of devices are armed; NULL: on the processor that arms them */
};

static inline uint64_t vm_clock_now(const struct vm_clock *clock)
{
	return __builtin_expect(clock->is_running, 1) ? time_now() + clock->offset : clock->s.time;
}

void vm_clock_start(struct vm_clock *clock);		/* go on from where it stands */
void vm_clock_stop(struct vm_clock *clock);
void vm_clock_after_load(void *clock);
void vm_clock_set(struct vm_clock *clock, uint64_t time);	/* running or not, it shows this now */

void vm_clock_timer(const struct vm_clock *clock, struct timer *timer, void (*fire)(void *), void *ctx);	/* init a device's */

/*
 * Arm a timer for a moment of the VM's clock; TIMER_NEVER disarms, and so does a clock that stands: whoever starts the
 * clock arms the timers again (after_load in hv/state.h). A moment that has passed is due at once.
 */
void vm_clock_arm(const struct vm_clock *clock, struct timer *timer, uint64_t deadline);
/* The same by what is left at the moment that the VM's clock showed `now`: for whoever has read it already. */
static inline void vm_clock_arm_in(const struct vm_clock *clock, struct timer *timer, uint64_t now, uint64_t left)
{
	uint64_t deadline;

	/* The time left is added, with a bound: a guest may ask for a moment that the host's counter never reaches. */
	if (clock->is_running && !__builtin_add_overflow(now - clock->offset, left, &deadline))
		timer_arm(timer, deadline);
	else
		timer_disarm(timer);
}
