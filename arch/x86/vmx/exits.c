/* SPDX-License-Identifier: MIT */
/*
 * The exit table and its adapters. A row's handler is neutral where it can be; one that needs decoded facts
 * has five lines here. vmx_handle is the only place that moves RIP (SDM vol. 3, 28.2.5: the instruction
 * length is reported for every exit that an instruction caused, not for EPT violations).
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/util.h"
#include "hv/vm.h"

#define PENDING_DEBUG_BS	BIT(14)		/* 25.4.2: a single step is due */

static enum exit_result vmx_exit_irq(struct vcpu *vcpu)
{
	uint64_t info = vmread(VMCS_EXIT_INTR_INFO);

	if (!(info & INTR_VALID))	/* nothing was acknowledged: spurious */
		return EXIT_RESUME;
	return exit_external_irq(vcpu, (uint8_t)field_get(info, INTR_VECTOR));
}

static enum exit_result vmx_exit_exception(struct vcpu *vcpu)
{
	uint32_t info = (uint32_t)vmread(VMCS_EXIT_INTR_INFO);
	struct vevent event = vmx_decode_event(info, (uint32_t)vmread(VMCS_EXIT_INTR_ERROR), 0);
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct exc_info exc = {
		.vector = event.vector, .has_error = event.has_error, .error = event.error,
		.dr6_bits = qual, .fault_addr = qual,
	};

	if (event.type == VEVENT_NMI)
		return exit_host_nmi(vcpu);
	return exit_exception(vcpu, &exc);
}

static enum exit_result vmx_exit_irq_window(struct vcpu *vcpu)
{
	vmx_close_windows(vcpu);
	return exit_irq_window(vcpu);
}

static enum exit_result vmx_exit_nmi_window(struct vcpu *vcpu)
{
	vmx_close_windows(vcpu);
	return exit_nmi_window(vcpu);
}

static enum exit_result vmx_exit_io(struct vcpu *vcpu)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct pio_access access;

	if (!(qual & IOQ_STRING))
		return exit_pio_plain(vcpu, (uint16_t)field_get(qual, IOQ_PORT), (unsigned)field_get(qual, IOQ_SIZE) + 1,
				      qual & IOQ_IN);
	access = vmx_decode_io(qual, (uint32_t)vmread(VMCS_EXIT_INSN_INFO));
	return exit_pio(vcpu, &access);
}

static enum exit_result vmx_exit_cr(struct vcpu *vcpu)
{
	struct cr_access access = vmx_decode_cr(vmread(VMCS_EXIT_QUALIFICATION));

	return exit_cr(vcpu, &access);
}

static enum exit_result vmx_exit_dr(struct vcpu *vcpu)
{
	struct dr_access access = vmx_decode_dr(vmread(VMCS_EXIT_QUALIFICATION));

	return exit_dr(vcpu, &access);
}

static enum exit_result vmx_exit_ept_violation(struct vcpu *vcpu)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct npt_fault fault = vmx_decode_ept(qual, vmread(VMCS_GUEST_PHYSICAL_ADDRESS));

	/* The fault hit an IRET that had already lifted NMI blocking: it will run again, so block again (28.2.3). */
	if ((qual & EPTQ_NMI_UNBLOCK) && !vcpu->pending.is_valid)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCK_NMI);
	vcpu->exit.insn_len = 0;		/* not reported here: whoever emulates decodes */
	return exit_npt(vcpu, &fault);
}

static enum exit_result vmx_exit_ept_misconfig(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "EPT misconfiguration (a bug in the hypervisor's tables) at",
			  vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
}

/* Exits outside the table or with no handler in it, entries that failed. */
static enum exit_result vmx_exit_unexpected(struct vcpu *vcpu)
{
	uint64_t reason = vmread(VMCS_EXIT_REASON);

	if (reason & EXIT_REASON_ENTRY_FAIL)
		return vmx_entry_failed(vcpu, reason);
	return exit_fatal(vcpu, "unexpected exit, reason", reason);
}

static const struct exit_row vmx_exits[] = {
#define ROW(number, id, text, handler) [number] = { text, handler },
	VMX_EXITS(ROW)
#undef ROW
};

const struct exit_table vmx_exit_tables[] = {
	{ 0, countof(vmx_exits), vmx_exits },
	{ 0, 0, NULL },
};

/* What an emulated instruction leaves behind besides RIP: no RF, no interrupt shadow, and the single step due after it. */
__attribute__((noinline)) static void clear_instruction_state(uint64_t flags, uint64_t shadow)
{
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, shadow & ~(BLOCK_STI | BLOCK_MOV_SS));
	vmwrite(VMCS_GUEST_RFLAGS, flags & ~RFLAGS_RF);
	if (flags & RFLAGS_TF)
		vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

__attribute__((always_inline)) static inline void step_over(struct vcpu *vcpu)
{
	uint64_t rip = vcpu->exit.rip, next, flags, shadow;

	next = rip + vcpu->exit.insn_len;
	/* Only code outside 64-bit mode wraps at 4 GiB, and only there does the upper half change from 0. */
	if (hi32(rip ^ next) && !(vmread(VMCS_GUEST_CS_RIGHTS) & SEG_L))
		next = lo32(next);
	vmwrite(VMCS_GUEST_RIP, next);
	flags = vmread(VMCS_GUEST_RFLAGS);
	shadow = vmread(VMCS_GUEST_INTERRUPTIBILITY);
	if ((flags & (RFLAGS_RF | RFLAGS_TF)) | (shadow & (BLOCK_STI | BLOCK_MOV_SS)))
		clear_instruction_state(flags, shadow);
}

/* Everything but the plain "emulated, go on". */
__attribute__((noinline)) static enum exit_result finish(struct vcpu *vcpu, enum exit_result result)
{
	if (result == EXIT_SKIP_STOP) {
		step_over(vcpu);
		return EXIT_STOP;
	}
	if (result == EXIT_RESUME)
		return exit_resume_check(vcpu, trace_last(&vcpu->trace), vcpu->exit.rip);
	return result;
}

enum exit_result vmx_handle(struct vcpu *vcpu)
{
	const struct vmx_vcpu *vmx = vcpu->arch;
	enum exit_result result;
	uint64_t reason, vectoring;

	if (vmx->failed)
		return vmx_entry_failed(vcpu, 0);
	reason = vmread(VMCS_EXIT_REASON);
	vcpu->exit.rip = vmread(VMCS_GUEST_RIP);
	if (reason >= countof(vmx_exits))	/* no holes: unused numbers are rows too */
		return vmx_exit_unexpected(vcpu);
	vcpu->exit.insn_len = (uint32_t)vmread(VMCS_EXIT_INSN_LENGTH);	/* means something only for some exits */
	trace_exit(&vcpu->trace, reason, vcpu->exit.rip);
	vectoring = vmread(VMCS_IDT_VECTORING_INFO);
	if (vectoring & INTR_VALID) {
		vmx_take_vectoring(vcpu, (uint32_t)vectoring);
		reason = trace_last(&vcpu->trace);	/* reloaded, so that it need not survive the call */
	}
	result = vmx_exits[reason].handle(vcpu);
	if (__builtin_expect(result != EXIT_SKIP, 0))
		return finish(vcpu, result);
	step_over(vcpu);
	return EXIT_RESUME;
}
