/* SPDX-License-Identifier: MIT */
/*
 * Where a virtual interrupt does not mind IF (quirks.delivers_masked in virt/quirks.h), none may wait in the processor until
 * the guest sets IF. The processor recognizes none while the interrupt window is asked for (SDM vol. 3, 30.2.1
 * "Evaluation of Pending Virtual Interrupts"). So one that the guest cannot take with this entry gets its window, and
 * is left to the processor at the window's exit.
 *
 * That does not do for one that waits for the end of another, or for TPR to fall, which the guest does without an exit and
 * often with IF clear. Then the vectors are taken back, and are injected as if the processor could not deliver. What the
 * guest requests of itself exits (bitmaps.c).
 */
#include "arch/x86/hw/cr.h"
#include "arch/x86/vmx/vmx_cpu.h"
#include "hv/dev/lapic_page.h"

bool vmx_leaves_none_behind(struct vcpu *vcpu)
{
	enum lapic_requests requests = lapic_requests(&vcpu->lapic);

	return requests == LAPIC_NO_REQUEST || (requests == LAPIC_ONE_REQUEST && lapic_pending(&vcpu->lapic) >= 0);
}

bool vmx_must_wait(struct vcpu *vcpu)
{
	return lapic_requests(&vcpu->lapic) != LAPIC_NO_REQUEST &&
	       (!(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) || (vmread(VMCS_ENTRY_INTR_INFO) & INTR_VALID) ||
		(vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS)));
}
