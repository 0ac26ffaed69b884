/* SPDX-License-Identifier: MIT */
/* The two messages that start processors (contract in vcpu.h). */
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/reset.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define SIPI_SHIFT	8	/* vector to real-mode segment: page number to paragraphs */

/*
 * The boot processor would restart at the reset vector, where firmware would be: for us, a reboot. Any other
 * waits for its SIPI, which sets all the state INIT would.
 */
void vcpu_take_init(struct vcpu *vcpu)
{
	if (vcpu->lapic.s.base_msr & APIC_BASE_BSP) {
		vm_stop(vcpu->vm, VM_END_REBOOT, "INIT sent to the boot processor");
		return;
	}
	lapic_reset(&vcpu->lapic, true);
	vcpu->pending.is_valid = false;
	vcpu->nmi_pending = vcpu->nmi_blocked = false;
	vcpu->state = VCPU_PARKED;
}

/* dr_reset and CR2: registers the back end's reset does not touch. */
bool vcpu_take_sipi(struct vcpu *vcpu, uint8_t vector)
{
	struct reset_state state;

	if (vcpu->state != VCPU_PARKED)
		return false;
	reset_real_mode(&state, (uint16_t)(vector << SIPI_SHIFT), 0);
	dr_reset(vcpu);
	vcpu->cr2 = 0;
	vcpu->irq_check = true;
	virt->vcpu_reset(vcpu, &state);
	vcpu->state = VCPU_READY;
	return true;
}
