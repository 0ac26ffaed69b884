/* SPDX-License-Identifier: MIT */
/* The sections of a VM (contract in vm_state.h). */
#include "hv/vm_state.h"

#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/fpu_area.h"
#include "arch/x86/virt/load.h"
#include "arch/x86/virt/save.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* The clock first: the others compare their times with it. */
static const struct state_section vm_sections[] = {
	STATE_SECTION(struct vm, clock, 1, vm_clock_after_load),
};

/* One object for each vCPU. */
static const struct state_section vcpu_sections[] = {
	STATE_SECTION(struct vcpu, lapic, 2, lapic_after_load),
	STATE_SECTION(struct vcpu, saved, 5, NULL),	/* vcpu_restore follows, when all else is settled */
};

/* Controllers before those whose lines end there. The debug console and the BIOS trap have no registers. */
static const struct state_section machine_sections[] = {
	STATE_SECTION(struct machine, pic, 1, pic_after_load),
	STATE_SECTION(struct machine, ioapic, 1, ioapic_after_load),
	STATE_SECTION(struct machine, pit, 1, pit_after_load),
	STATE_SECTION(struct machine, rtc, 1, rtc_after_load),
	STATE_SECTION(struct machine, uart, 1, uart_after_load),
	STATE_SECTION(struct machine, i8042, 1, i8042_after_load),
	STATE_SECTION(struct machine, acpi_pm, 1, acpi_pm_after_load),
	STATE_SECTION(struct machine, crtc, 1, NULL),	/* any index is one a guest could have written */
};

struct object_list {
	struct state_object objects[2 + 2 * VM_VCPUS_MAX + VIRTIO_DEVS_MAX * VIRTIO_MMIO_OBJECTS];
	size_t              count;
	struct state_section fpu;	/* extended state: its size depends on the processor */
};

static void add(struct object_list *list, void *base, const struct state_section *sections, size_t count,
		uint32_t instance)
{
	list->objects[list->count++] = (struct state_object){ base, sections, count, instance };
}

static void list_objects(struct vm *vm, struct object_list *list)
{
	list->count = 0;
	list->fpu = (struct state_section){ .name = "fpu", .version = 1, .size = fpu_area_size(), .after_load = fpu_area_bound };
	add(list, vm, vm_sections, countof(vm_sections), 0);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		add(list, vm->vcpus[i], vcpu_sections, countof(vcpu_sections), i);
		add(list, vm->vcpus[i]->fpu, &list->fpu, 1, i);
	}
	add(list, vm->machine, machine_sections, countof(machine_sections), 0);
	for (uint32_t i = 0; i < vm->machine->virtio_count; i++)
		list->count += virtio_mmio_objects(&vm->machine->virtio[i], i, &list->objects[list->count]);
}

static void settle(struct vm *vm)
{
	struct object_list list;

	list_objects(vm, &list);
	state_settle(list.objects, list.count);
}

void vm_run_clock(struct vm *vm)
{
	vm_clock_start(&vm->clock);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		virt->set_tsc_offset(vm->vcpus[i], vcpu_host_tsc_offset(vm->vcpus[i]));
	settle(vm);
}

/* The state that settles, and may be saved now, is that of the sections: local APICs may have some of theirs in a page. */
void vm_stop_clock(struct vm *vm)
{
	vm_clock_stop(&vm->clock);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		lapic_from_page(&vm->vcpus[i]->lapic);
	settle(vm);
}

size_t vm_state_size(struct vm *vm)
{
	struct object_list list;

	list_objects(vm, &list);
	return state_size(list.objects, list.count);
}

/* What others have asked of a vCPU belongs to the state that is saved, or replaced: it must not reach the next one. */
static void take_requests(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vcpu_take_requests(vm->vcpus[i]);
}

size_t vm_save(struct vm *vm, void *buffer, size_t room)
{
	struct object_list list;

	if (vm->clock.is_running)
		return 0;
	take_requests(vm);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vcpu_save(vm->vcpus[i]);
	list_objects(vm, &list);
	return state_save(list.objects, list.count, buffer, room);
}

static void restore_vcpus(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vcpu_restore(vm->vcpus[i]);
}

/*
 * Before the chips tell their levels again, and until vCPUs have their state: a vCPU that sleeps takes such a
 * level as a request, and would find nobody left who could wake it.
 */
static void park_vcpus(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vm->vcpus[i]->state = VCPU_PARKED;
}

bool vm_load(struct vm *vm, const void *buffer, size_t len, struct state_error *error)
{
	struct object_list list;

	take_requests(vm);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vcpu_unload(vm->vcpus[i]);
	list_objects(vm, &list);
	if (!state_load(list.objects, list.count, buffer, len, error))
		return false;
	park_vcpus(vm);
	settle(vm);
	restore_vcpus(vm);
	return true;
}

void vm_wipe(struct vm *vm)
{
	struct object_list list;

	list_objects(vm, &list);
	for (size_t i = 0; i < list.count; i++)
		for (size_t k = 0; k < list.objects[i].count; k++)
			memset((char *)list.objects[i].base + list.objects[i].sections[k].offset, 0,
			       list.objects[i].sections[k].size);
	park_vcpus(vm);
	settle(vm);
	restore_vcpus(vm);
}
