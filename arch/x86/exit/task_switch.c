/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches, which no processor carries out for a guest: SDM vol. 3, 8.3 "Task Switching", whose
 * steps are followed in its order, and 26.4.2 "Treatment of Task Switches"; APM vol. 2, 15.14.1 "Task Switch
 * Intercept". The processor has already checked the task gate, privileges and the new TSS's descriptor.
 * The latter is checked again here, because another processor of the guest may have changed it meanwhile.
 *
 * Until everything that can be checked beforehand is checked, nothing is changed and exceptions are raised in the
 * old task. The segments of the new task are checked when it is already the current one: their exceptions
 * are the new task's.
 *
 * Memory that nobody has touched is populated before the new task begins, a chunk at each exit, and from then on
 * none is (gpm_only_look). Only a switch that has overwritten its own tables with what it saved of the
 * old task can still need more. It cannot be made again, so it ends the VM.
 */
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/task_switch.h"

#include "arch/x86/emulate/operand.h"
#include "arch/x86/emulate/walk.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/event.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define EFLAGS_WRITABLE	(FIELD(21, 16) | FIELD(14, 6) | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF)

static bool is_nested(const struct task_change *change)
{
	return change->how->source == TASK_CALL || change->how->source == TASK_GATE;
}

/* Steps 1 to 4: the new TSS's descriptor. What is wrong with it is #GP, or #TS where IRET follows a bad link. */
static enum exit_result find_new(struct task_change *change)
{
	bool is_return = change->how->source == TASK_IRET;
	uint8_t vector = is_return ? VEC_TS : VEC_GP;
	uint16_t selector = change->how->selector;
	struct segment *tss = &change->new_tss.seg;
	enum exit_result result;

	if (selector & SELECTOR_TI || !(selector & SELECTOR_OFFSET))
		return task_fault(change, vector, selector);
	result = task_descriptor(change, selector, vector, &change->new_tss);
	if (result != EXIT_GO_ON)
		return result;
	if ((tss->rights & (SEG_S | (SEG_TYPE_MASK & ~(TSS_BUSY_BIT | TSS_TYPE_WIDE)))) != TSS_TYPE_16 ||
	    is_return != !!(tss->rights & TSS_BUSY_BIT))
		return task_fault(change, vector, selector);
	if (!(tss->rights & SEG_P))
		return task_fault(change, VEC_NP, selector);
	if (tss->limit < tss_size(tss) - 1)
		return task_fault(change, VEC_TS, selector);
	return task_write(change, change->new_tss.addr, NULL, sizeof(uint64_t));
}

/* The current task must have a TSS to be saved in. */
static enum exit_result find_old(struct task_change *change)
{
	struct segment *tss = &change->old_tss;

	virt->get_seg(change->vcpu, SEG_TR, tss);
	if (tss->rights & SEG_UNUSABLE || tss->limit < tss_size(tss) - 1)
		return task_fault(change, VEC_TS, tss->selector);
	return EXIT_GO_ON;
}

/* In PAE paging loading CR3 also loads the four entries that it points to, and is #GP when one of them is bad. */
static enum exit_result check_cr3(struct task_change *change)
{
	uint64_t pointers[PAE_POINTERS];

	if (!tss_is_wide(&change->new_tss.seg) || !walk_is_pae(change->vcpu))
		return EXIT_GO_ON;
	if (!gpm_touch(&change->vcpu->vm->gpm, gpa(change->image.cr3 & PAE_ROOT), sizeof(pointers)))
		return task_make_again(change);
	if (walk_pae_pointers(change->vcpu, change->image.cr3, pointers))
		return EXIT_GO_ON;
	vcpu_inject_gp(change->vcpu);
	return EXIT_RESUME;
}

/*
 * Steps 6 to 8. A task that the new task can return to stays busy; a task that is left by JMP or IRET does
 * not. When a fault causes the switch, RF is saved as 1, so that an instruction breakpoint does not strike
 * twice (SDM vol. 3, 18.3.1.1).
 */
static enum exit_result leave_old(struct task_change *change)
{
	struct vcpu *vcpu = change->vcpu;
	const struct task_switch *how = change->how;
	uint64_t flags = virt->get(vcpu, REG_RFLAGS);
	uint64_t rip = vcpu->exit.rip + (how->is_event ? 0 : vcpu->exit.insn_len);
	enum exit_result result = EXIT_GO_ON;
	struct descriptor old;

	if (!how->is_event)
		flags &= ~RFLAGS_RF;
	else if (vevent_is_fault(&vcpu->pending))
		flags |= RFLAGS_RF;
	if (how->source == TASK_IRET)
		flags &= ~RFLAGS_NT;
	if (!is_nested(change) && (change->old_tss.selector & SELECTOR_OFFSET)) {
		result = task_descriptor(change, change->old_tss.selector, VEC_TS, &old);
		if (result == EXIT_GO_ON)
			result = task_set_type(change, old.addr, TSS_BUSY_BIT, 0);
	}
	return result == EXIT_GO_ON ? task_save_old(change, flags, rip) : result;
}

/* Step 9 to 12, up to the segments. */
static enum exit_result become_new(struct task_change *change)
{
	struct vcpu *vcpu = change->vcpu;
	struct task_image *image = &change->image;
	struct segment tr = change->new_tss.seg;
	enum exit_result result = EXIT_GO_ON;

	if (is_nested(change)) {
		image->eflags |= RFLAGS_NT;
		result = task_write_link(change);
	}
	if (result == EXIT_GO_ON)
		result = task_set_type(change, change->new_tss.addr, 0, TSS_BUSY_BIT);
	if (result != EXIT_GO_ON)
		return result;
	change->has_begun = true;
	gpm_only_look(true);
	tr.rights |= TSS_BUSY_BIT;
	virt->set_seg(vcpu, SEG_TR, &tr);
	virt->set(vcpu, REG_CR0, virt->get(vcpu, REG_CR0) | CR0_TS);
	if (tss_is_wide(&tr) && (virt->get(vcpu, REG_CR0) & CR0_PG)) {
		virt->set(vcpu, REG_CR3, image->cr3);
		virt->flush(vcpu);
	}
	virt->set(vcpu, REG_RFLAGS, (image->eflags & EFLAGS_WRITABLE) | RFLAGS_ONE);
	virt->set(vcpu, REG_RIP, image->eip);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		vcpu_set_gpr(vcpu, i, image->gpr[i]);
	virt->end_shadow(vcpu);
	dr_end_task(vcpu);
	return EXIT_GO_ON;
}

/* The error code of an exception goes where a gate without a task would have put it (SDM vol. 3, 6.13). */
static enum exit_result push_error(struct task_change *change)
{
	unsigned size = task_error_size(change);
	struct vcpu *vcpu = change->vcpu;
	struct operand_fault fault;
	struct operand_cpu cpu;
	struct operand slot;
	struct segment ss;
	uint64_t esp = vcpu_gpr(vcpu, GPR_RSP), mask;

	if (!change->how->has_error)
		return EXIT_GO_ON;
	virt->get_seg(vcpu, SEG_SS, &ss);
	mask = task_stack_mask(&ss);
	esp = (esp & ~mask) | ((esp - size) & mask);
	operand_cpu_of(vcpu, &cpu);
	if (!operand_map(&cpu, SEG_SS, esp & mask, size, WALK_WRITE, &slot, &fault))
		return fault.vector == OPERAND_AGAIN ? task_make_again(change) : operand_inject(vcpu, &fault);
	operand_write(vcpu, &slot, change->how->error);
	vcpu_set_gpr(vcpu, GPR_RSP, esp);
	return EXIT_GO_ON;
}

/*
 * The event that caused the switch stays pending until the switch is complete: an exception before that is
 * raised during the delivery of the event, and the two may combine into a double fault.
 */
enum exit_result exit_task_switch(struct vcpu *vcpu, const struct task_switch *how)
{
	static enum exit_result (*const steps[])(struct task_change *change) = {
		find_new, find_old, task_read_both, check_cr3, task_touch_new,
		leave_old, become_new, task_load_segments, push_error,
	};
	struct task_change change = { .vcpu = vcpu, .how = how };
	enum exit_result result = EXIT_GO_ON;

	for (size_t i = 0; i < countof(steps) && result == EXIT_GO_ON; i++)
		result = steps[i](&change);
	gpm_only_look(false);
	if (result != EXIT_GO_ON)
		return result;
	vcpu->pending.is_valid = false;
	exit_progress(vcpu);
	if (change.image.wants_trap)
		dr_raise(vcpu, DR6_BT);
	return EXIT_RESUME;
}
