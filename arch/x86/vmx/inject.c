/* SPDX-License-Identifier: MIT */
/*
 * Events into the guest: SDM vol. 3, 27.6 "Event Injection", 25.6.5 windows, 28.2.4 "Information for VM Exits
 * That Occur During Event Delivery". The decision is virt/inject.c's; here are the fields.
 */
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/inject.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx_cpu.h"

static void set_proc_controls(struct vmx_vcpu *vmx, uint64_t val)
{
	if (val != vmx->proc_controls)
		vmwrite(VMCS_PROC_CONTROLS, val);
	vmx->proc_controls = val;
}

static void want_windows(struct vmx_vcpu *vmx, bool irq, bool nmi)
{
	uint64_t val = vmx->proc_controls & ~(PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW);

	set_proc_controls(vmx, val | (irq ? PROC_INTERRUPT_WINDOW : 0) | (nmi ? PROC_NMI_WINDOW : 0));
}

void vmx_close_windows(struct vcpu *vcpu)
{
	want_windows(vmx_use(vcpu), false, false);
}

static void inject(const struct vevent *event)
{
	vmwrite(VMCS_ENTRY_INTR_INFO, vmx_encode_event(event));
	/* No error code in real mode (27.2.1.3: the entry would fail). */
	if (event->has_error)
		vmwrite(VMCS_ENTRY_EXCEPTION_ERROR, event->error);
	if (event->type >= VEVENT_SOFT_INT)
		vmwrite(VMCS_ENTRY_INSN_LENGTH, event->insn_len);
}

static void inject_irq(struct vcpu *vcpu)
{
	int vector = vcpu_ack_irq(vcpu);
	struct vevent event = { .is_valid = true, .type = VEVENT_IRQ, .vector = (uint8_t)vector };

	if (vector >= 0)
		inject(&event);
}

/*
 * In the shadow of STI or MOV SS with TF set an entry wants a single step pending (27.3.1.5), even when the event that is
 * injected makes it void. The processor says so itself at every exit but that of a #DB.
 */
static void mend_pending_debug(struct vcpu *vcpu)
{
	uint64_t pending = vmread(VMCS_GUEST_PENDING_DEBUG);

	if ((vmread(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS)) && dr_step_due(vcpu))
		vmwrite(VMCS_GUEST_PENDING_DEBUG, pending | PENDING_DEBUG_BS);
}

static void inject_pending(struct vcpu *vcpu)
{
	struct vevent *event = &vcpu->pending;

	if (!(vmread(VMCS_GUEST_CR0) & CR0_PE))
		event->has_error = false;
	/* An NMI whose delivery was cut short: the blocking it began must not stop its second start (28.2.4). */
	if (event->type == VEVENT_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~BLOCK_NMI);
	if (vevent_is_fault(event))
		vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	mend_pending_debug(vcpu);
	inject(event);
	event->is_valid = false;
}

/*
 * Before an entry, when irq_check says that something may have changed. What cannot be delivered now has its
 * window opened, which tells us when to look again.
 */
void vmx_deliver(struct vcpu *vcpu)
{
	const struct vevent nmi = { .is_valid = true, .type = VEVENT_NMI, .vector = VEC_NMI };
	struct vmx_vcpu *vmx;
	struct inject_facts facts;
	struct inject_plan plan;
	uint64_t blocking;

	vmx = vmx_use(vcpu);
	blocking = vmread(VMCS_GUEST_INTERRUPTIBILITY);
	facts = (struct inject_facts){
		.has_pending = vcpu->pending.is_valid,
		.nmi_pending = vcpu->nmi_pending,
		.nmi_blocked = blocking & (BLOCK_NMI | BLOCK_MOV_SS),
		.irq_pending = vcpu_has_irq(vcpu),
		.if_set = vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF,
		.in_shadow = blocking & (BLOCK_STI | BLOCK_MOV_SS),
	};
	plan = inject_decide(&facts);
	if (plan.what == INJECT_PENDING) {
		inject_pending(vcpu);
	} else if (plan.what == INJECT_NMI) {
		vcpu->nmi_pending = false;
		inject(&nmi);
	} else if (plan.what == INJECT_IRQ) {
		inject_irq(vcpu);
		plan.want_irq_window = vcpu_has_irq(vcpu);
	}
	want_windows(vmx, plan.want_irq_window, plan.want_nmi_window || vcpu->nmi_pending);
	vcpu->irq_check = false;
}

/* The first thing after an exit that cut a delivery short: the event is not lost. */
void vmx_take_vectoring(struct vcpu *vcpu, uint32_t info)
{
	vcpu->irq_check = true;
	vcpu->pending = vmx_decode_event(info, (uint32_t)vmread(VMCS_IDT_VECTORING_ERROR),
					 (uint32_t)vmread(VMCS_EXIT_INSN_LENGTH));
}
