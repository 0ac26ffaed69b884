/* SPDX-License-Identifier: MIT */
/*
 * Delivery: what virt/inject.h decided, written into EVENTINJ, and the windows through which we learn that
 * the guest can take the rest.
 *
 * An interrupt window is a virtual interrupt that is never delivered: V_IRQ pending with the VINTR
 * intercept set exits the moment the guest could take it (APM vol. 2, 15.21.4 "Injecting Virtual (INTR)
 * Interrupts"). An NMI ends with IRET, which is intercepted while one is handled; the exit comes before the
 * IRET has run, so NMIs stay blocked until RIP has left it. If another is waiting for that, the IRET is run
 * as a single step, of which the guest notices nothing.
 */
#include "arch/x86/exit/handlers.h"
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/emulate/walk.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/virt/event.h"
#include "arch/x86/virt/inject.h"
#include "arch/x86/virt/quirks.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "hv/vcpu.h"

/* Changes of the VMCB cost something only when a clean bit goes: so nothing is written that is there already. */
static void set_intercept(struct vmcb_control *control, uint32_t bit, bool is_wanted)
{
	uint32_t now = is_wanted ? control->intercept_vector3 | bit : control->intercept_vector3 & ~bit;

	if (now == control->intercept_vector3)
		return;
	control->intercept_vector3 = now;
	control->clean_bits &= ~CLEAN_I;
}

/*
 * Open or close the interrupt window. V_IRQ makes a virtual interrupt pending, VINTR intercepts it before
 * it is delivered: the guest exits the moment RFLAGS.IF and its shadow would let it in. Its vector is never
 * used.
 */
static void set_window(struct vmcb_control *control, bool is_wanted)
{
	uint32_t now = is_wanted ? control->vintr | V_IRQ : control->vintr & ~V_IRQ;

	set_intercept(control, INTERCEPT_VINTR, is_wanted);
	if (now == control->vintr)
		return;
	control->vintr = now;
	control->clean_bits &= ~CLEAN_TPR;
}

/* An NMI's handler begins: no other NMI until its IRET, which must be seen. */
void svm_block_nmi(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	vcpu->nmi_blocked = true;
	svm->iret_seen = false;
	set_intercept(&svm->vmcb->control, INTERCEPT_IRET, true);
}

/* ---- One step: over the IRET of an NMI's handler, or out of a shadow that VMRUN forgets ---- */

/* An NMI waits for an IRET that is the next instruction. With NT set that changes tasks, which exits by itself. */
static bool wants_step(const struct vcpu *vcpu)
{
	const struct svm_vcpu *svm = svm_of(vcpu);

	return vcpu->nmi_pending && vcpu->nmi_blocked && svm->iret_seen && !(svm->vmcb->save.rflags & RFLAGS_NT);
}

/*
 * One entry with RFLAGS.TF set, whose #DB is ours. The instruction may raise an exception instead, whose
 * frame would show the guest that TF: so for this entry all exceptions leave the guest, and are given back
 * without it.
 */
void svm_begin_step(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	svm->is_stepping = true;
	svm->step_rip = vmcb->save.rip;
	svm->step_tf = vmcb->save.rflags & RFLAGS_TF;
	vmcb->save.rflags |= RFLAGS_TF;
	vmcb->control.intercept_exceptions = ~(uint32_t)BIT(VEC_NMI);	/* bit 2 is reserved: NMIs have their own */
	vmcb->control.clean_bits &= ~CLEAN_I;
}

/*
 * At the next exit, whatever it is. A #DB with BS came behind the instruction; everything else came before,
 * and the instruction has yet to run. IRET has loaded flags of its own when it has run; behind any other
 * instruction TF is still ours. One that repeats itself, or jumps to itself, has left its shadow as well.
 */
void svm_end_step(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb *vmcb = svm->vmcb;
	uint32_t code = (uint32_t)vmcb->control.exitcode;
	bool is_db = code == SVM_EXIT_EXCP_DB, is_iret = svm->iret_seen;
	bool is_exception = code >= SVM_EXIT_EXCP_DE && code <= SVM_EXIT_EXCP_XF;

	svm->is_stepping = false;
	svm->is_stepped = is_db && (svm_debug_status(vmcb, true) & DR6_BS);
	vmcb->control.intercept_exceptions = svm_exceptions_wanted();
	vmcb->control.clean_bits &= ~CLEAN_I;
	if (!svm->step_tf && (!is_iret || (!svm->is_stepped && vmcb->save.rip == svm->step_rip)))
		vmcb->save.rflags &= ~RFLAGS_TF;
	vcpu->irq_check = true;		/* deliver steps again, if that is still what it takes */
	if (is_iret && is_exception && !is_db) {
		svm->iret_seen = false;	/* an IRET that faults lifts the blocking all the same (APM vol. 2, 8.2.3) */
		(void)exit_nmi_window(vcpu);
	}
	if (!is_iret && svm->is_stepped && vmcb->save.rip == svm->step_rip)
		svm_end_shadow(vcpu);
}

/*
 * A #DB exit: true when it is our step and nothing else. If the guest has its own reasons, they are left in
 * *dr6_bits.
 */
bool svm_is_own_step(struct vcpu *vcpu, uint64_t *dr6_bits)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	bool is_ours = svm->is_stepped;

	svm->is_stepped = false;
	if (!is_ours)
		return false;
	*dr6_bits = svm->step_tf ? *dr6_bits | DR6_BS : *dr6_bits & ~DR6_BS;
	return !*dr6_bits;
}

/*
 * One event into EVENTINJ: VMRUN delivers it through the guest's IDT before the first instruction (15.20
 * "Event Injection"). What delivery by the processor would do besides is done here: RF in the RFLAGS that a
 * fault pushes, CR2 for #PF, and the blocking of NMIs.
 */
static void write_event(struct vcpu *vcpu, struct vevent *event)
{
	struct svm_vcpu *svm = svm_of(vcpu);

	if (!(svm->vmcb->save.cr0 & CR0_PE))
		event->has_error = false;	/* real mode pushes none */
	if (vevent_is_fault(event))
		svm->vmcb->save.rflags |= RFLAGS_RF;
	svm->vmcb->control.eventinj = svm_encode_event(event);
	if (event->type == VEVENT_EXCEPTION && event->vector == VEC_PF) {
		svm->vmcb->save.cr2 = vcpu->cr2;	/* injection does not touch CR2 either */
		svm->vmcb->control.clean_bits &= ~CLEAN_CR2;
	}
	if (event->type == VEVENT_NMI) {
		svm_block_nmi(vcpu);
	} else if (svm->iret_seen) {
		/*
		 * This event is delivered before the IRET, and its handler has an IRET of its own: wait for
		 * the next.
		 */
		svm->iret_seen = false;
		set_intercept(&svm->vmcb->control, INTERCEPT_IRET, true);
	}
}

/*
 * Take the event that virt/inject.h chose from where it waits. The vector of an interrupt is asked for
 * last, because the local APIC then moves it to its in-service register: it must be delivered.
 */
static void inject(struct vcpu *vcpu, enum inject_what what)
{
	struct vevent event = { .is_valid = true, .type = VEVENT_IRQ };
	int vector;

	switch (what) {
	case INJECT_PENDING:
		event = vcpu->pending;
		vcpu->pending.is_valid = false;
		break;
	case INJECT_NMI:
		event.type = VEVENT_NMI;
		event.vector = VEC_NMI;
		vcpu->nmi_pending = false;
		break;
	case INJECT_IRQ:
		vector = vcpu_ack_irq(vcpu);
		if (vector < 0)
			return;
		event.vector = (uint8_t)vector;
		break;
	case INJECT_NOTHING:
		return;
	}
	write_event(vcpu, &event);
}

/*
 * Called before an entry when irq_check says that something may have changed: collect the facts, let virt/inject.h
 * decide, write the event, and arrange for an exit when the guest can take what is left.
 */
void svm_deliver(struct vcpu *vcpu)
{
	struct vmcb *vmcb = svm_of(vcpu)->vmcb;
	struct inject_facts facts;
	struct inject_plan plan;
	bool must_wait;

	facts = (struct inject_facts){
		.has_pending = vcpu->pending.is_valid,
		.nmi_pending = vcpu->nmi_pending,
		.irq_pending = vcpu_has_irq(vcpu),
		.nmi_blocked = vcpu->nmi_blocked,
		.if_set = vmcb->save.rflags & RFLAGS_IF,
		.in_shadow = vmcb->control.interrupt_shadow & INTERRUPT_SHADOW,
	};
	plan = inject_decide(&facts);
	inject(vcpu, plan.what);
	if (plan.what == INJECT_NOTHING && wants_step(vcpu))
		svm_begin_step(vcpu);
	/*
	 * An NMI waits behind another event, and none of its own handlers runs. That event's handler ends
	 * with IRET: look again there at the latest.
	 */
	if (plan.want_nmi_window && !vcpu->nmi_blocked)
		set_intercept(&vmcb->control, INTERCEPT_IRET, true);
	if (plan.what == INJECT_IRQ)
		plan.want_irq_window = vcpu_has_irq(vcpu);	/* one of higher priority behind it */
	must_wait = plan.want_irq_window && svm_window_must_wait(vmcb);
	set_window(&vmcb->control, plan.want_irq_window && !must_wait);
	if (must_wait)
		svm_leave_shadow(vcpu, plan.what == INJECT_NOTHING);
	/*
	 * An NMI waits for IRET, or for the next exit when only another event went first. An open window is looked
	 * at after every exit: if the guest can take the interrupt by then, the window's own exit is saved.
	 */
	vcpu->irq_check = plan.want_irq_window || (plan.want_nmi_window && !vcpu->nmi_blocked);
}

/*
 * Called first after an exit that cut the delivery of an event short, or that came while the IRET of an NMI
 * handler was awaited. The event becomes vcpu->pending again. NMIs are unblocked when RIP has left the
 * IRET.
 */
void svm_take_interrupted(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	const struct vmcb *vmcb = svm->vmcb;
	struct vevent event;

	if (svm->is_stepping)
		svm_end_step(vcpu);
	if (svm_decode_event(vmcb->control.exitintinfo, &event)) {
		vcpu->pending = event;
		vcpu->irq_check = true;
		if (event.type == VEVENT_NMI)
			vcpu->nmi_blocked = false;	/* it blocks again when it is injected again */
	}
	if (svm->iret_seen && (svm->is_stepped || vmcb->save.rip != svm->iret_rip)) {
		svm->iret_seen = false;
		(void)exit_nmi_window(vcpu);
	}
}
