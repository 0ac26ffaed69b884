/* SPDX-License-Identifier: MIT */
/*
 * What of a vCPU is not a register of the VMCB that get and get_seg know: what stays in the processor while it is
 * loaded, and what save and restore carry besides (APM vol. 2, 15.5.1 "Basic Operation": the state save area).
 */
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/hw/dr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/guest_state.h"
#include "hv/vcpu.h"

/* ---- Loaded and put ---- */

/*
 * VMLOAD and VMSAVE switch the MSRs of SYSCALL and SYSENTER at every entry; TSC_AUX alone is left. CR2
 * lives in the VMCB, but the neutral code switches what the processor holds: give it that.
 */
void svm_load(struct vcpu *vcpu)
{
	struct vmcb *vmcb = svm_of(vcpu)->vmcb;

	if (svm_guest_caps.rdtscp)
		wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
	vmcb->save.cr2 = vcpu->cr2;
	vmcb->control.clean_bits = 0;	/* this processor may hold another VMCB's copies */
}

/* CR2 of a queued #PF is in vcpu->cr2 only, until write_event in inject.c puts it into the VMCB. */
static bool is_page_fault(const struct vevent *event)
{
	return event->is_valid && event->type == VEVENT_EXCEPTION && event->vector == VEC_PF;
}

void svm_put(struct vcpu *vcpu)
{
	if (svm_guest_caps.rdtscp)
		vcpu->tsc_aux = rdmsr(MSR_TSC_AUX);
	if (!is_page_fault(&vcpu->pending))	/* else vcpu->cr2 is newer: it reaches the VMCB with the injection */
		vcpu->cr2 = svm_of(vcpu)->vmcb->save.cr2;
	write_cr2(vcpu->cr2);
}

/*
 * A VMCB is memory like any other, and after each exit it holds all there is (APM vol. 2, 15.6 "#VMEXIT").
 * What the next processor has to know is that it may trust no copy: svm_load clears the clean bits, and
 * svm_enter takes an ASID of that processor.
 */
void svm_leave(struct vcpu *vcpu)
{
	(void)vcpu;
}

/* ---- Saved and restored ---- */

/* The PDPTEs are not in the VMCB: with nested paging the processor reads them from memory (15.25.10). */
void svm_save(struct vcpu *vcpu, struct guest_state *state)
{
	const struct vmcb *vmcb = svm_of(vcpu)->vmcb;

	state->star = vmcb->save.star;
	state->lstar = vmcb->save.lstar;
	state->cstar = vmcb->save.cstar;
	state->sfmask = vmcb->save.sfmask;
	state->kernel_gs_base = vmcb->save.kernel_gs_base;
	state->nmi_blocked = vcpu->nmi_blocked;
	state->in_shadow = vmcb->control.interrupt_shadow & INTERRUPT_SHADOW ? SHADOW_STI : SHADOW_NONE;
}

/*
 * A single step that is due has no field of its own here: it is a #DB among the pending events. The window,
 * the intercept of IRET and the event of the vCPU's life before go; the ASID is flushed, because memory has
 * been replaced.
 */
void svm_restore(struct vcpu *vcpu, const struct guest_state *state)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;
	struct vmcb_save *save = &svm->vmcb->save;

	save->star = state->star;
	save->lstar = state->lstar;
	save->cstar = state->cstar;
	save->sfmask = state->sfmask;
	save->kernel_gs_base = state->kernel_gs_base;
	save->cr2 = state->cr2;
	save->dr6 = DR6_RESET;
	control->eventinj = 0;
	control->vintr &= ~V_IRQ;
	control->intercept_vector3 &= ~(INTERCEPT_IRET | INTERCEPT_VINTR);
	control->interrupt_shadow = state->in_shadow ? INTERRUPT_SHADOW : 0;
	svm->shadow_rip = state->in_shadow ? save->rip : SVM_NO_SHADOW;
	svm->shadow_exits = 0;
	svm->iret_seen = false;
	vcpu->nmi_blocked = state->nmi_blocked;
	if (vcpu->nmi_blocked)		/* the IRET that ends its handler is still to come, or comes again */
		control->intercept_vector3 |= INTERCEPT_IRET;
	control->clean_bits = 0;
	svm->want_flush = true;
}
