/* SPDX-License-Identifier: MIT */
/*
 * Intel VT-x as a struct virt_backend, and the entry itself: vmx_enter runs the guest and turns the exit into
 * vcpu->exit. What follows is neutral: arch/x86/exit/dispatch.c looks up the row and calls its handler.
 */
#include "arch/x86/virt/backend.h"

#include <stddef.h>

#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/state.h"
#include "arch/x86/vmx/vmx_cpu.h"

/*
 * switch.asm: returns 0 after an exit; 1 (VMfailInvalid) or 2 (VMfailValid) when no guest instruction was
 * executed.
 */
unsigned vmx_switch(struct vcpu *vcpu, struct vmx_vcpu *vmx);

/* Offsets that switch.asm writes as numbers. */
_Static_assert(offsetof(struct vcpu, gpr) == 0 && offsetof(struct vcpu, arch) == 128, "switch.asm: GPR, ARCH");
_Static_assert(offsetof(struct vmx_vcpu, host_rsp) == 0 && offsetof(struct vmx_vcpu, launched) == 8,
	       "switch.asm: host_rsp, LAUNCHED");

/*
 * A reason beyond the list. Bit 31 marks an entry that failed after the controls had been accepted, because
 * the guest state is not valid (SDM vol. 3, 27.8 "VM-Entry Failures During or After Loading Guest State"):
 * such a failure arrives like an exit, with the host state loaded, but no guest instruction was executed.
 * A machine check during an entry has that bit as well. Other values are reasons of a newer processor. Inline it would
 * cost every exit a tick.
 */
__attribute__((noinline)) static uint32_t odd_row(uint64_t reason)
{
	if (reason == (EXIT_REASON_ENTRY_FAIL | VMX_EXIT_ENTRY_MACHINE_CHECK))
		return VMX_EXIT_ENTRY_MACHINE_CHECK;
	return reason & EXIT_REASON_ENTRY_FAIL ? VMX_ROW_REFUSED : VMX_ROW_UNKNOWN;
}

/*
 * Fill vcpu->exit from four VMREADs: why the guest stopped, at which RIP, how long the instruction is, and
 * whether the exit cut the delivery of an event short. That last one is read at every exit, because such an
 * event is lost unless we deliver it again (SDM vol. 3, 28.2.4 "Information for VM Exits That Occur During
 * Event Delivery"). The qualification and the addresses are read by the adapter that needs them (exits.c).
 * The length is valid only where an instruction caused the exit; adapters of other exits set it to 0.
 */
static inline void read_exit(struct vcpu *vcpu)
{
	uint64_t reason = vmread(VMCS_EXIT_REASON), vectoring;

	vcpu->exit.reason = reason < VMX_ROW_UNKNOWN ? (uint32_t)reason : odd_row(reason);
	vcpu->exit.rip = vmread(VMCS_GUEST_RIP);
	vcpu->exit.insn_len = (uint32_t)vmread(VMCS_EXIT_INSN_LENGTH);
	vectoring = vmread(VMCS_IDT_VECTORING_INFO);
	if (vectoring & INTR_VALID)
		vmx_take_vectoring(vcpu, (uint32_t)vectoring);
}

/*
 * VMLAUNCH or VMRESUME failed: there was no exit, and the exit fields still describe an older one. Do not
 * read them.
 */
__attribute__((noinline)) static void refused(struct vcpu *vcpu, unsigned failed)
{
	struct vmx_vcpu *vmx = vcpu->arch;

	vmx->failed = (uint8_t)failed;
	vcpu->exit = (struct exit_record){ .reason = VMX_ROW_REFUSED };
}

/*
 * VMRESUME enters whichever VMCS is current on this processor. That is this vCPU's: vmx_make_current (state.c)
 * sees to it, so that no exit pays for asking.
 */
void vmx_enter(struct vcpu *vcpu)
{
	unsigned failed = vmx_switch(vcpu, vcpu->arch);

	if (__builtin_expect(failed, 0))
		refused(vcpu, failed);
	else
		read_exit(vcpu);
}

const struct virt_backend vmx_backend = {
	.name = "VT-x", .block_name = "VMCS",
	.supported = vmx_supported, .cpu_on = vmx_cpu_on, .cpu_off = vmx_cpu_off,
	.vcpu_create = vmx_vcpu_create, .vcpu_destroy = vmx_vcpu_destroy,
	.load = vmx_load, .put = vmx_put, .leave = vmx_leave, .save = vmx_save, .restore = vmx_restore,
	.deliver = vmx_deliver, .enter = vmx_enter, .step_over = vmx_step_over,
	.get = vmx_get, .set = vmx_set, .get_seg = vmx_get_seg, .set_seg = vmx_set_seg,
	.limit_turn = vmx_limit_turn, .end_shadow = vmx_end_shadow, .set_tsc_offset = vmx_set_tsc_offset,
	.flush = vmx_flush, .dump = vmx_dump,
	.caps = &vmx_guest_caps, .npt = &vmx_npt_format, .exits = { vmx_rows, VMX_ROW_COUNT },
};
