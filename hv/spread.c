/* SPDX-License-Identifier: MIT */
/* What is locked while a VM runs on several processors (contract in spread.h). */
#include "hv/spread.h"

#include <stddef.h>

#include "hv/vcpu.h"

static void share_buses(struct vcpu *vcpu, struct lock *machine)
{
	bus_share(&vcpu->pio, machine);
	bus_share(&vcpu->mmio, machine);
}

static void lock_with(struct vm *vm, struct lock *machine, struct lock *memory)
{
	vm->is_spread = machine;
	vm->gpm.lock = memory;
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		share_buses(vm->vcpus[i], machine);
}

void vm_spread(struct vm *vm)
{
	vm->machine_lock.rank = LOCK_MACHINE;
	vm->memory_lock.rank = LOCK_MEMORY;
	lock_with(vm, &vm->machine_lock, &vm->memory_lock);
}

void vm_gather(struct vm *vm)
{
	lock_with(vm, NULL, NULL);
}
