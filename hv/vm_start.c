/* SPDX-License-Identifier: MIT */
/*
 * From a VM that was created to its first instruction, in pieces (contract in vm_life.h). Zeroing the memory of a large
 * VM and copying its files takes as long as many turns: it is the VM's own time.
 */
#include "hv/vm_life.h"

#include "arch/x86/guestboot/copies.h"
#include "arch/x86/guestboot/loader.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/reset.h"
#include "arch/x86/virt/save.h"
#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/machine.h"
#include "hv/page.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_state.h"

#define ZERO_PIECES	4U	/* of page_prepare, in one piece of ours: some 8,000 ticks */

struct vm_start {
	bool                has_wish;
	bool                is_loaded;
	struct reset_state  state;
	struct guest_copies copies;
};

_Static_assert(sizeof(struct vm_start) <= PAGE_SIZE, "vm_create gives it one page");

/* Zero some large pages for the guest's memory ahead, so that a first touch is cheap (page.h). */
static bool zero_some(const struct vm *vm)
{
	bool is_more = true;

	for (unsigned i = 0; i < ZERO_PIECES && is_more; i++)
		is_more = page_prepare(&vm->gpm.wish, vm->config->memory);
	return is_more;
}

static void say_started(const struct vm *vm)
{
	char from[32] = "";

	if (vm->gpm.wish.nodes)
		format_buf(from, sizeof(from), ", memory from node %u", vm->gpm.wish.first);
	vm_log(vm, "started, %u vCPU%s, %lu MiB, id %u%s", vm->vcpu_count, vm->vcpu_count > 1 ? "s" : "",
	       vm->config->memory >> 20, vm->id, from);
}

static void launch(struct vm *vm)
{
	vm_run_clock(vm);
	vcpu_reset(vm->vcpus[0], &vm->start->state);
	vm->state = VM_RUNNING;
	vm->vcpus[0]->state = VCPU_READY;
	page_free(vm->start);
	vm->start = NULL;
	if (!vm->is_restart)
		say_started(vm);
}

/*
 * When others have used up what was zeroed ahead, a chunk is zeroed when it is written to. That is as much as
 * a piece may do: the low memory, where the loader puts its tables, is touched first.
 */
void vm_start(struct vm *vm)
{
	struct vm_start *start = vm->start;

	if (!start->has_wish)		/* before any of its memory is there, and here, at its home */
		vm->gpm.wish = node_wish(vm->config, host_processor_number(host_processor()));
	start->has_wish = true;
	if (vm->vcpu_count < vm->config->vcpus) {
		if (!vm_add_vcpu(vm))
			vm_kill(vm, "cannot start: no memory for vCPU %u", vm->vcpu_count);
	} else if (!start->is_loaded) {
		if (machine_prepare(vm) && !zero_some(vm) && gpm_touch(&vm->gpm, gpa(0), PAGE_SIZE))
			start->is_loaded = !loader_load(vm, &start->state, &start->copies);
	} else if (!guest_copies_step(&start->copies, &vm->gpm)) {
		vm_kill(vm, "cannot start: out of host memory while its files were copied");
	} else if (!start->copies.count) {
		launch(vm);
	}
}
