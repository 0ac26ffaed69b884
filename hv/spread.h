/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM whose vCPUs run on several processors. Its devices and its memory are then touched by several at once, so two
 * locks guard them. While all of its vCPUs live on one processor neither is taken, and an exit costs as much as if there
 * were none: is_spread, and pointers that are NULL, say so.
 *
 * The machine's lock is taken at each door to a device, and nowhere behind it: the two buses (bus.h), the I/O APIC and the
 * 8259 as a local APIC reaches them (apic_wires.c), the timers of devices (vm_timers.c), and what they put off (sched.c).
 * The memory's lock is taken where a chunk or a nested table is added (gpm.c, npt.c); who finds what is there takes none.
 */
#include "hv/lock.h"
#include "hv/vm.h"

/*
 * The first of its vCPUs is about to leave the processor on which all of them are, and the last one has come back. To
 * be called there, between two turns: none of them is in an exit.
 */
void vm_spread(struct vm *vm);
void vm_gather(struct vm *vm);

static inline void machine_take(struct vm *vm)
{
	if (vm->is_spread)
		lock_take_with_clock(&vm->machine_lock);
}

static inline void memory_take(struct vm *vm)
{
	if (vm->is_spread)
		lock_take(&vm->memory_lock);
}

static inline void memory_drop(struct vm *vm)
{
	if (vm->is_spread)
		lock_drop(&vm->memory_lock);
}

static inline void machine_drop(struct vm *vm)
{
	if (vm->is_spread)
		lock_drop(&vm->machine_lock);
}
