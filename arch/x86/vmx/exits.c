/* SPDX-License-Identifier: MIT */
/*
 * The exit table and its adapters, and what exit/dispatch.c asks of VT-x: read the exit, step over an instruction. A
 * row's handler is neutral where it can be; one that needs decoded facts has five lines here.
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/lib/util.h"
#include "hv/vm.h"

/* The length field holds what an earlier exit left there (SDM vol. 3, 28.2.5): a handler that skips would be wrong. */
static inline void no_instruction(struct vcpu *vcpu)
{
	vcpu->exit.insn_len = 0;
}

/*
 * An interrupt of the host. "Acknowledge interrupt on exit" is set, so the processor has already asked the local APIC for
 * the vector, as it would before it goes through an IDT: the handler is called from here.
 */
static enum exit_result vmx_exit_irq(struct vcpu *vcpu)
{
	uint64_t info = vmread(VMCS_EXIT_INTR_INFO);

	no_instruction(vcpu);
	exit_progress(vcpu);
	if (!(info & INTR_VALID))	/* nothing was acknowledged: spurious */
		return EXIT_RESUME;
	return exit_external_irq(vcpu, (uint8_t)field_get(info, INTR_VECTOR));
}

/*
 * An exception that controls.c and state.c ask for, or an NMI, which shares the reason. The qualification means what the
 * vector makes it mean: for #DB the bits that the processor would have put into DR6, for #PF the address (SDM vol. 3,
 * 28.2.1 "Basic VM-Exit Information"). INT1 is an instruction of known length, whose #DB is delivered behind it.
 */
static enum exit_result vmx_exit_exception(struct vcpu *vcpu)
{
	uint32_t info = (uint32_t)vmread(VMCS_EXIT_INTR_INFO);
	struct vevent event = vmx_decode_event(info, (uint32_t)vmread(VMCS_EXIT_INTR_ERROR), 0);
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct exc_info exc = {
		.vector = event.vector, .has_error = event.has_error, .error = event.error,
		.dr6_bits = qual, .fault_addr = qual,
		.int1_len = event.type == VEVENT_PRIV_SOFT ? vcpu->exit.insn_len : 0,
	};

	no_instruction(vcpu);
	if (event.type == VEVENT_NMI)
		return exit_host_nmi(vcpu);
	return exit_exception(vcpu, &exc);
}

/* The guest could take what waits for it: the control that asked for this exit would ask again at the next entry. */
static enum exit_result vmx_exit_irq_window(struct vcpu *vcpu)
{
	no_instruction(vcpu);
	vmx_close_windows(vcpu);
	return exit_irq_window(vcpu);
}

static enum exit_result vmx_exit_nmi_window(struct vcpu *vcpu)
{
	no_instruction(vcpu);
	vmx_close_windows(vcpu);
	return exit_nmi_window(vcpu);
}

static enum exit_result vmx_exit_turn_over(struct vcpu *vcpu)
{
	no_instruction(vcpu);
	return exit_turn_over(vcpu);
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

/* The delivery of an NMI begins the blocking of others, IRET ends it, whether or not it changes tasks (26.3). */
static enum exit_result vmx_exit_task_switch(struct vcpu *vcpu)
{
	struct task_switch how = vmx_decode_task_switch(vmread(VMCS_EXIT_QUALIFICATION), &vcpu->pending);
	uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	if (how.is_event && vcpu->pending.type == VEVENT_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking | BLOCK_NMI);
	else if (how.source == TASK_IRET)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, blocking & ~BLOCK_NMI);
	vcpu->irq_check = true;
	return exit_task_switch(vcpu, &how);
}

static enum exit_result vmx_exit_ept_violation(struct vcpu *vcpu)
{
	uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
	struct npt_fault fault = vmx_decode_ept(qual, vmread(VMCS_GUEST_PHYSICAL_ADDRESS));

	no_instruction(vcpu);		/* whoever emulates decodes */
	/* The fault hit an IRET that had already lifted NMI blocking: it will run again, so block again (28.2.3). */
	if ((qual & EPTQ_NMI_UNBLOCK) && !vcpu->pending.is_valid)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) | BLOCK_NMI);
	return exit_npt(vcpu, &fault);
}

static enum exit_result vmx_exit_ept_misconfig(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "EPT misconfiguration (a bug in the hypervisor's tables) at",
			  vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
}

/* An exit that this table does not know, on a processor that is newer than it. */
static enum exit_result vmx_exit_unknown(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "exit that this program does not know, reason", vmread(VMCS_EXIT_REASON));
}

const struct exit_row vmx_rows[VMX_ROW_COUNT] = {
#define ROW(number, id, text, handler) [number] = { text, handler },
	VMX_EXITS(ROW)
#undef ROW
	[VMX_ROW_UNKNOWN] = { "unknown exit", vmx_exit_unknown },
	[VMX_ROW_REFUSED] = { "VM entry failed", vmx_entry_failed },
};
_Static_assert(VMX_ROW_COUNT <= TRACE_REASONS, "the trace counts every row");

/*
 * What an emulated instruction leaves behind besides RIP: no RF, no interrupt shadow, and the single step due after
 * it. That is raised as an exception, because pending debug exceptions are lost when another event is injected with the
 * same entry (27.7.3 "Delivery of Pending Debug Exceptions after VM Entry").
 */
__attribute__((noinline)) static void clear_instruction_state(struct vcpu *vcpu, uint64_t flags, uint64_t shadow)
{
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, shadow & ~(BLOCK_STI | BLOCK_MOV_SS));
	vmwrite(VMCS_GUEST_RFLAGS, flags & ~RFLAGS_RF);
	if (dr_step_due(vcpu))
		dr_raise(vcpu, DR6_BS);
}

void vmx_step_over(struct vcpu *vcpu)
{
	uint64_t rip = vcpu->exit.rip, next = rip + vcpu->exit.insn_len, flags, shadow;

	/* Only code outside 64-bit mode wraps at 4 GiB, and only there does the upper half change from 0. */
	if (hi32(rip ^ next) && !(vmread(VMCS_GUEST_CS_RIGHTS) & SEG_L))
		next = lo32(next);
	vmwrite(VMCS_GUEST_RIP, next);
	flags = vmread(VMCS_GUEST_RFLAGS);
	shadow = vmread(VMCS_GUEST_INTERRUPTIBILITY);
	if ((flags & (RFLAGS_RF | RFLAGS_TF)) | (shadow & (BLOCK_STI | BLOCK_MOV_SS)))
		clear_instruction_state(vcpu, flags, shadow);
}
