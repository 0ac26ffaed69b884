/* SPDX-License-Identifier: MIT */
/* The neutral half of a virtual processor (contract in vcpu.h). Its run loop is in arch/x86/exit/dispatch.c. */
#include "hv/vcpu.h"

#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/event.h"
#include "arch/x86/virt/load.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/look.h"
#include "hv/vm.h"

int vcpu_init(struct vcpu *vcpu, struct vm *vm, uint32_t id, const struct lapic_env *wires)
{
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->state = VCPU_PARKED;
	vcpu->processor = host_processor();
	vcpu->pio = bus_view(&vm->pio);
	vcpu->mmio = bus_view(&vm->mmio);
	if (vcpu_registers_init(vcpu))
		return -1;
	lapic_init(&vcpu->lapic, id, wires, vcpu, &vm->clock, &vcpu->tsc_offset);
	return virt->vcpu_create(vcpu);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	vcpu_unload(vcpu);
	virt->vcpu_destroy(vcpu);
	vcpu_registers_free(vcpu);
}

/* ---- Interrupts and exceptions ---- */

bool vcpu_has_irq(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;

	return vcpu_has_extint(vcpu) || (lapic->irr_words && lapic_pending(lapic) >= 0);
}

int vcpu_ack_irq(struct vcpu *vcpu)
{
	struct lapic *lapic = &vcpu->lapic;
	int vector;

	if (vcpu_has_extint(vcpu))
		return lapic->env->extint(lapic->ctx);
	lapic_settle(lapic);
	vector = lapic_pending(lapic);
	if (vector < 0)
		return vector;
	lapic_accept(lapic, (uint8_t)vector);
	if (vcpu->pv_eoi)
		lapic_offer_eoi(lapic, (uint8_t)vector);
	return vector;
}

void vcpu_kick(struct vcpu *vcpu)
{
	vcpu->irq_check = true;
	if (vcpu->state != VCPU_HALTED || vcpu_may_sleep(vcpu))
		return;
	vcpu->is_unhalted = false;
	vcpu->state = VCPU_READY;
	look_post(vcpu->look);
	host_attention_look(true);	/* a vCPU that slept may go before the running one: the scheduler decides */
}

void vcpu_inject_event(struct vcpu *vcpu, const struct vevent *event)
{
	exit_progress(vcpu);
	vcpu->irq_check = true;
	if (!vevent_combine(&vcpu->pending, event))
		exit_triple_fault(vcpu);
}

void vcpu_inject(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
	const struct vevent event = { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = vector,
				      .has_error = has_error, .error = error };

	vcpu_inject_event(vcpu, &event);
}

void vcpu_inject_pf(struct vcpu *vcpu, uint64_t addr, uint32_t error)
{
	vcpu_set_cr2(vcpu, addr);
	vcpu_inject(vcpu, VEC_PF, true, error);
}

/* ---- Time ---- */

uint64_t vcpu_tsc(const struct vcpu *vcpu)
{
	return vm_now(vcpu->vm) + vcpu->tsc_offset;
}

uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu)
{
	return vcpu->vm->clock.offset + vcpu->tsc_offset;
}
