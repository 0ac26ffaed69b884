/* SPDX-License-Identifier: MIT */
/* A vCPU as plain data, there and back (contract in save.h). */
#include "arch/x86/virt/save.h"

#include "arch/x86/exit/debug.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/guest_state.h"
#include "arch/x86/virt/load.h"
#include "arch/x86/virt/reset.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

_Static_assert(sizeof(((struct vcpu *)NULL)->mtrr) == sizeof(((struct guest_state *)NULL)->mtrr), "all of them");

/* Fields that have the same name and type on both sides. */
#define SAME_FIELDS(X)									\
	X(cr2) X(dr6) X(dr7) X(xcr0) X(xss) X(tsc_offset) X(tsc_adjust) X(tsc_aux)	\
	X(misc_enable) X(pv_time) X(pv_wall) X(pv_steal) X(pv_eoi)

static struct guest_event event_to_state(const struct vevent *event)
{
	return (struct guest_event){
		.is_valid = event->is_valid, .type = event->type, .vector = event->vector,
		.has_error = event->has_error, .error = event->error, .insn_len = event->insn_len,
	};
}

static struct vevent event_of_state(const struct guest_event *state)
{
	return (struct vevent){
		.is_valid = state->is_valid, .type = (enum vevent_type)state->type, .vector = (uint8_t)state->vector,
		.has_error = state->has_error, .error = state->error, .insn_len = state->insn_len,
	};
}

/* Registers that are in the control block: each by its name. */
static void save_registers(struct vcpu *vcpu, struct guest_state *state)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		state->gpr[i] = vcpu_gpr(vcpu, i);
	for (unsigned i = 0; i < GUEST_REG_COUNT; i++)
		state->reg[i] = virt->get(vcpu, i);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		virt->get_seg(vcpu, i, &state->seg[i]);
}

/*
 * In this order for both vendors: EFER and CR4 before CR0, because setting CR0 settles the paging mode;
 * then the CPL.
 */
static void restore_registers(struct vcpu *vcpu, const struct guest_state *state)
{
	static const enum guest_reg order[] = {
		REG_EFER, REG_CR4, REG_CR3, REG_CR0, REG_RIP, REG_RSP, REG_RFLAGS, REG_SYSENTER_CS,
		REG_SYSENTER_ESP, REG_SYSENTER_EIP, REG_PAT, REG_DEBUGCTL,
	};

	for (unsigned i = 0; i < GPR_COUNT; i++)
		vcpu->gpr[i] = state->gpr[i];
	for (size_t i = 0; i < countof(order); i++)
		virt->set(vcpu, order[i], state->reg[order[i]]);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		virt->set_seg(vcpu, i, &state->seg[i]);
	/*
	 * What the processor holds follows from what the guest reads (exit/dr.c), or it could enable
	 * another guest's addresses.
	 */
	virt->set(vcpu, REG_DR7, state->dr7 & ~DR7_GD);
}

void vcpu_save(struct vcpu *vcpu)
{
	struct guest_state *state = &vcpu->saved.s;

	vcpu_start_if_due(vcpu);
	vcpu_unload(vcpu);
	memset(state, 0, sizeof(*state));
#define SAVE(field) state->field = vcpu->field;
	SAME_FIELDS(SAVE)
#undef SAVE
	memcpy(state->dr, vcpu->dr, sizeof(state->dr));
	memcpy(state->mtrr, vcpu->mtrr, sizeof(state->mtrr));
	state->pending = event_to_state(&vcpu->pending);
	state->run_state = vcpu->state;
	state->halted_if = vcpu->halted_if;
	state->nmi_pending = vcpu->nmi_pending;
	state->is_unhalted = vcpu->is_unhalted;
	save_registers(vcpu, state);
	virt->save(vcpu, state);
}

void vcpu_restore(struct vcpu *vcpu)
{
	struct guest_state *state = &vcpu->saved.s;

	vcpu_unload(vcpu);
	guest_state_bound(state, fpu_guest_xcr0_mask());
#define RESTORE(field) vcpu->field = state->field;
	SAME_FIELDS(RESTORE)
#undef RESTORE
	memcpy(vcpu->dr, state->dr, sizeof(state->dr));
	memcpy(vcpu->mtrr, state->mtrr, sizeof(state->mtrr));
	vcpu->pending = event_of_state(&state->pending);
	vcpu->state = (enum vcpu_state)state->run_state;
	vcpu->halted_if = state->halted_if;
	vcpu->nmi_pending = state->nmi_pending;
	vcpu->is_unhalted = state->is_unhalted;
	vcpu->irq_check = true;
	memset(vcpu->insn_cache, 0, sizeof(vcpu->insn_cache));	/* decoded from memory that has been replaced */
	restore_registers(vcpu, state);
	virt->restore(vcpu, state);
	virt->set_tsc_offset(vcpu, vcpu_host_tsc_offset(vcpu));
	virt->flush(vcpu);
}

void vcpu_reset(struct vcpu *vcpu, const struct reset_state *start)
{
	const struct { enum guest_reg reg; uint64_t val; } regs[] = {
		{ REG_EFER, start->efer },	{ REG_CR0, start->cr0 },	{ REG_CR3, start->cr3 },
		{ REG_CR4, start->cr4 },	{ REG_RIP, start->rip },	{ REG_RSP, start->rsp },
		{ REG_RFLAGS, start->rflags | RFLAGS_ONE }, { REG_PAT, PAT_RESET },
		{ REG_DEBUGCTL, 0 },		{ REG_SYSENTER_CS, 0 },		{ REG_SYSENTER_ESP, 0 },
		{ REG_SYSENTER_EIP, 0 },
	};
	struct guest_state *state = &vcpu->saved.s;

	vcpu_save(vcpu);
	memcpy(state->gpr, start->gpr, sizeof(state->gpr));
	memcpy(state->seg, start->seg, sizeof(state->seg));
	memset(state->pdpte, 0, sizeof(state->pdpte));
	for (size_t i = 0; i < countof(regs); i++)
		state->reg[regs[i].reg] = regs[i].val;
	state->cr2 = 0;
	state->pv_time = state->pv_wall = state->pv_steal = state->pv_eoi = 0;	/* what starts now has its memory elsewhere */
	state->dr7 = DR7_RESET;
	state->pending.is_valid = state->nmi_pending = state->nmi_blocked = state->in_shadow = state->debug_due = 0;
	state->is_unhalted = 0;
	vcpu_restore(vcpu);
	dr_reset(vcpu);
}
