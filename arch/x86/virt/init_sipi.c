/* SPDX-License-Identifier: MIT */
/* The two messages that start processors (contract in vcpu.h). */
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/load.h"
#include "arch/x86/virt/reset.h"
#include "arch/x86/virt/save.h"
#include "hv/host.h"
#include "hv/look.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define SIPI_SHIFT	8	/* vector to real-mode segment: page number to paragraphs */

/*
 * INIT makes the boot processor restart at the reset vector, where a PC has its firmware: here that is a
 * reboot. Any other processor waits for its SIPI, which then sets all the state that INIT would.
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
	vcpu->start_is_due = vcpu->is_unhalted = false;
	vcpu->vm->halts++;	/* first, as in vcpu_halt */
	vcpu->state = VCPU_PARKED;
	look_post(vcpu->look);
	host_attention_set();	/* a vCPU that sent INIT to itself must not execute another instruction */
}

void vcpu_take_sipi(struct vcpu *vcpu, uint8_t vector)
{
	if (vcpu->state != VCPU_PARKED)
		return;
	vcpu->sipi_vector = vector;
	vcpu->start_is_due = true;
	vcpu->state = VCPU_READY;
	look_post(vcpu->look);
}

void vcpu_start_if_due(struct vcpu *vcpu)
{
	/* Sent behind the SIPI: INIT has discarded what came before. */
	const bool nmi_pending = vcpu->nmi_pending, is_unhalted = vcpu->is_unhalted;
	struct reset_state start;

	if (!vcpu->start_is_due)
		return;
	vcpu->start_is_due = false;
	reset_real_mode(&start, (uint16_t)(vcpu->sipi_vector << SIPI_SHIFT), 0);
	vcpu_reset(vcpu, &start);
	vcpu->nmi_pending = nmi_pending;
	vcpu->is_unhalted = is_unhalted;
	vcpu->state = VCPU_READY;
}
