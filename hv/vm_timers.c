/* SPDX-License-Identifier: MIT */
/* Device timers and the alarm of a VM (contract in vm_timers.h). */
#include "hv/vm_timers.h"

#include <stdatomic.h>
#include <stddef.h>

#include "hv/host.h"
#include "hv/look.h"
#include "hv/spread.h"
#include "hv/timer.h"
#include "hv/vm.h"

/* By whoever holds the machine's lock. */
static void set_alarm(struct vm *vm)
{
	const uint64_t deadline = timer_first(&vm->timers);

	if (deadline == TIMER_NEVER)
		timer_disarm(&vm->alarm);
	else
		timer_arm(&vm->alarm, deadline);
}

/* A device has changed the earliest deadline, on any processor, inside a door that holds the lock. */
static void changed(uint64_t deadline, void *ctx)
{
	struct vm *vm = ctx;

	(void)deadline;
	if (!vm->is_spread) {
		set_alarm(vm);
		return;
	}
	vm->alarm_is_stale = true;
	look_post(vm->look);
	if (look_is_here(vm->look))
		host_attention_set();
}

/* What the timers that are due arm anew needs no word: the alarm is set behind them. */
static void fire(void *ctx)
{
	struct vm *vm = ctx;

	machine_take(vm);
	vm->timers.on_change = NULL;
	timer_list_run(&vm->timers);
	vm->timers.on_change = changed;
	set_alarm(vm);
	machine_drop(vm);
}

void vm_timers_init(struct vm *vm, struct turn *payer)
{
	vm->timers.on_change = changed;
	vm->timers.ctx = vm;
	timer_init(&vm->alarm, fire, vm);
	vm->alarm.payer = payer;
}

void vm_timers_follow(struct vm *vm)
{
	if (!vm->alarm_is_stale || !atomic_exchange(&vm->alarm_is_stale, false))
		return;
	machine_take(vm);
	set_alarm(vm);
	machine_drop(vm);
}

void vm_timers_end(struct vm *vm)
{
	vm->timers.on_change = NULL;
	while (vm->timers.first)
		timer_disarm(vm->timers.first);
	timer_disarm(&vm->alarm);
}
