/* SPDX-License-Identifier: MIT */
/*
 * Events into the guest: SDM vol. 3, 27.6 "Event Injection", 26.2 "Other Causes of VM Exits" (the two
 * windows), 28.2.4 "Information for VM Exits That Occur During Event Delivery".
 *
 * Injecting is asking the entry to deliver: vmx_deliver writes an event into the VM-entry interruption
 * information, and the processor, after it has loaded the guest's state, delivers the event through the
 * guest's IDT as if it had happened at the guest's RIP. One entry delivers one event. The processor clears
 * the valid bit of the field at the next exit, so an event is not delivered twice.
 *
 * Which event goes first, and whether the guest can take it, is decided in virt/inject.h for both vendors.
 * This file collects the facts for the decision from VMCS fields, and writes the result into others.
 */
#include "arch/x86/exit/debug.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/event.h"
#include "arch/x86/virt/inject.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx_cpu.h"

/* Most calls change nothing: the copy in struct vmx_vcpu saves a VMREAD always and a VMWRITE mostly. */
static void set_proc_controls(struct vmx_vcpu *vmx, uint64_t val)
{
	if (val != vmx->proc_controls)
		vmwrite(VMCS_PROC_CONTROLS, val);
	vmx->proc_controls = val;
}

/* Ask for an exit as soon as the guest can take an interrupt, or an NMI; or no longer ask. */
static void want_windows(struct vmx_vcpu *vmx, bool irq, bool nmi)
{
	uint64_t val = vmx->proc_controls & ~(PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW);

	set_proc_controls(vmx, val | (irq ? PROC_INTERRUPT_WINDOW : 0) | (nmi ? PROC_NMI_WINDOW : 0));
}

void vmx_close_windows(struct vcpu *vcpu)
{
	want_windows(vmx_use(vcpu), false, false);
}

/*
 * Three fields describe an event. The error code counts only when the information says that there is one.
 * The length counts only for INT n, INT1, INT3 and INTO: delivery adds it to RIP, so that the handler
 * returns behind the instruction.
 */
static void inject(const struct vevent *event)
{
	vmwrite(VMCS_ENTRY_INTR_INFO, vmx_encode_event(event));
	if (event->has_error)
		vmwrite(VMCS_ENTRY_EXCEPTION_ERROR, event->error);
	if (event->type >= VEVENT_SOFT_INT)
		vmwrite(VMCS_ENTRY_INSN_LENGTH, event->insn_len);
}

/*
 * Asking the interrupt controller for the vector is a promise to deliver it: the local APIC moves it from
 * its request to its in-service register. So the vector is taken here, at the last moment, and injected at
 * once. It is -1 when no request is left.
 */
static void inject_irq(struct vcpu *vcpu)
{
	int vector = vcpu_ack_irq(vcpu);
	struct vevent event = { .is_valid = true, .type = VEVENT_IRQ, .vector = (uint8_t)vector };

	if (vector >= 0)
		inject(&event);
}

/* Is there one to inject? Where the processor delivers those of the local APIC, only the 8259's are left. */
static bool has_irq(struct vcpu *vcpu, bool delivers)
{
	return delivers ? vcpu_has_extint(vcpu) : vcpu_has_irq(vcpu);
}

/* Must the interrupt window hold back one that is the processor's to deliver? To be asked behind inject: what that wrote counts. */
static bool is_held_back(struct vcpu *vcpu, bool delivers)
{
	return delivers && quirks.delivers_masked && vmx_must_wait(vcpu);
}

/*
 * While the shadow of STI or MOV SS lasts and TF is set, the entry fails unless the pending-debug field
 * says that a single step is due (SDM vol. 3, 27.3.1.5 "Checks on Guest Non-Register State"), even though
 * injecting an event then discards that step. Other exits leave the field as the entry wants it; the exit
 * for #DB leaves it clear (28.3.4 "Saving Non-Register State"), and #DB is what we give back to the guest.
 */
static void mend_pending_debug(struct vcpu *vcpu)
{
	uint64_t pending = vmread(VMCS_GUEST_PENDING_DEBUG);

	if ((vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS)) && dr_step_due(vcpu))
		vmwrite(VMCS_GUEST_PENDING_DEBUG, pending | PENDING_DEBUG_BS);
}

/* vcpu->pending: an exception that a handler raised, or an event whose delivery the last exit cut short. */
static void inject_pending(struct vcpu *vcpu)
{
	struct vevent *event = &vcpu->pending;

	/* In real mode no exception has an error code, and an entry that says otherwise fails (27.2.1.3). */
	if (!(vmread(VMCS_GUEST_CR0) & CR0_PE))
		event->has_error = false;
	/*
	 * An NMI whose delivery was cut short has already blocked NMIs. The entry refuses to inject an NMI
	 * while they are blocked (27.3.1.5), so unblock them; the delivery blocks them again.
	 */
	if (event->type == VEVENT_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~BLOCK_NMI);
	/*
	 * Delivery pushes RFLAGS as the field has it; for a fault the processor would push RF = 1
	 * (virt/event.h).
	 */
	if (vevent_is_fault(event))
		vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	mend_pending_debug(vcpu);
	inject(event);
	event->is_valid = false;
}

/*
 * Called before an entry when irq_check says that something may have changed. An event that the guest
 * cannot take now (RFLAGS.IF is 0, a shadow, an NMI handler runs, another event goes first) has its window
 * opened: the exit at the window sets irq_check again. Without a window the guest would get the event at
 * its next exit, which may be never.
 *
 * A processor may refuse an NMI in the shadow of STI (SDM vol. 3, 27.3.1.5), and its NMI window may open in there. STI
 * needs IF, so the interrupt window opens right behind that shadow: it stands in.
 */
static void inject_what_waits(struct vcpu *vcpu, struct vmx_vcpu *vmx, bool delivers)
{
	static const struct vevent nmi = { .is_valid = true, .type = VEVENT_NMI, .vector = VEC_NMI };
	uint64_t blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);
	bool in_sti = blocking & BLOCK_STI, want_nmi;
	struct inject_facts facts = {
		.has_pending = vcpu->pending.is_valid,
		.nmi_pending = vcpu->nmi_pending,
		.nmi_blocked = blocking & (BLOCK_NMI | BLOCK_MOV_SS | BLOCK_STI),
		.irq_pending = true,
		.if_set = vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF,
		.in_shadow = blocking & (BLOCK_STI | BLOCK_MOV_SS),
	};
	struct inject_plan plan = inject_decide(&facts);

	/* An interrupt that could go now is asked for once, by the acknowledge; only one that has to wait is worth a question. */
	if (delivers || plan.what != INJECT_IRQ) {
		facts.irq_pending = has_irq(vcpu, delivers);
		plan = inject_decide(&facts);
	}

	if (plan.what == INJECT_PENDING) {
		inject_pending(vcpu);
	} else if (plan.what == INJECT_NMI) {
		vcpu->nmi_pending = false;
		inject(&nmi);
	} else if (plan.what == INJECT_IRQ) {
		inject_irq(vcpu);	/* its acknowledge may have taken requests of others on its way (hv/request.h): */
		delivers = delivers && vmx_delivers(vcpu);
		plan.want_irq_window = has_irq(vcpu, delivers);
	}
	want_nmi = plan.want_nmi_window || vcpu->nmi_pending;
	want_windows(vmx, plan.want_irq_window || (want_nmi && in_sti) || is_held_back(vcpu, delivers), want_nmi && !in_sti);
	vcpu->irq_check = false;
}

/*
 * Where the processor delivers the local APIC's interrupts (virtual_apic.c) there is mostly nothing left to do. While
 * the interrupt window is open it does not deliver them: so the window closes as soon as nothing waits for it.
 */
void vmx_deliver(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_use(vcpu);	/* irq_check may be set because another VMCS has become current (state.c) */
	bool delivers = vmx_delivers(vcpu);

	if (!delivers || vcpu->pending.is_valid || vcpu->nmi_pending || vcpu_has_extint(vcpu)) {
		inject_what_waits(vcpu, vmx, delivers);
		return;
	}
	want_windows(vmx, is_held_back(vcpu, delivers), false);
	vcpu->irq_check = false;
}

/*
 * The exit happened while the processor delivered an event: a page of the guest's stack or IDT was not
 * mapped yet, for instance. The processor has forgotten the event; it becomes vcpu->pending and is injected
 * with the next entry, unless the handler of the exit raises an exception, which then combines with it
 * (#DF, triple fault). The length is that of the INT instruction, and valid here although no instruction
 * caused the exit (SDM vol. 3, 28.2.5).
 */
void vmx_take_vectoring(struct vcpu *vcpu, uint32_t info)
{
	vcpu->irq_check = true;
	vcpu->pending = vmx_decode_event(info, (uint32_t)vmread(VMCS_IDT_VECTORING_ERROR),
					 (uint32_t)vmread(VMCS_EXIT_INSN_LENGTH));
}
