/* SPDX-License-Identifier: MIT */
/* What a local APIC is connected to (contract in apic_wires.h, the functions' in lapic.h). */
#include "hv/dev/apic_wires.h"

#include "hv/dev/apic_bus.h"
#include "hv/machine.h"
#include "hv/spread.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

static void kick(void *ctx)
{
	vcpu_kick(ctx);
}

static void nmi(void *ctx)
{
	vcpu_raise_nmi(ctx);
}

static void ipi(void *ctx, const struct lapic *from, uint64_t icr)
{
	struct vcpu *vcpu = ctx;

	apic_bus_ipi(vcpu->vm, from, icr);
}

static void eoi(void *ctx, uint8_t vector)
{
	struct vcpu *vcpu = ctx;

	machine_take(vcpu->vm);
	ioapic_eoi(&vcpu->vm->machine->ioapic, vector);
	machine_drop(vcpu->vm);
}

static uint8_t extint(void *ctx)
{
	struct vcpu *vcpu = ctx;
	uint8_t vector;

	machine_take(vcpu->vm);
	vector = pic_ack(&vcpu->vm->machine->pic);
	machine_drop(vcpu->vm);
	return vector;
}

static bool offer_eoi(void *ctx)
{
	return vcpu_offer_eoi(ctx);
}

static bool withdraw_eoi(void *ctx)
{
	return vcpu_withdraw_eoi(ctx);
}

const struct lapic_env apic_wires = {
	.kick = kick, .nmi = nmi, .ipi = ipi, .eoi = eoi, .extint = extint,
	.offer_eoi = offer_eoi, .withdraw_eoi = withdraw_eoi,
};

bool apic_wires_carry_nmi(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		if (lapic_lint0_is_nmi(&vm->vcpus[i]->lapic))
			return true;
	return ioapic_has_nmi(&vm->machine->ioapic);
}
