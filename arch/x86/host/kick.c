/* SPDX-License-Identifier: MIT */
/*
 * One vector for each kind of kick, and the NMI for the last. Several that are pending are one interrupt, but a look never hides a wake-up: the
 * local APIC keeps a request bit for each vector, so no flag of ours has to say which kinds came.
 *
 * A look marks the loaded vCPU and not the processor: a guest that runs gets its interrupt without a round of the
 * scheduler. When another vCPU has been loaded meanwhile, that one looks and finds nothing, and the one that was meant
 * looks when it is loaded (vcpu_load).
 */
#include "arch/x86/host/kick.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/interrupt.h"
#include "arch/x86/host/lapic.h"
#include "hv/host.h"
#include "hv/lib/apic.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

static void look(uint8_t vector)
{
	struct vcpu *vcpu = this_cpu()->loaded;

	(void)vector;
	if (vcpu)
		vcpu->irq_check = true;
}

static void wake(uint8_t vector)
{
	(void)vector;
	host_attention_set();
}

void host_kick(struct processor *processor, enum host_kick what)
{
	static const uint32_t messages[] = {
		[KICK_LOOK] = ICR_MODE_OF(APIC_FIXED) | VECTOR_LOOK, [KICK_WAKE] = ICR_MODE_OF(APIC_FIXED) | VECTOR_WAKE,
		[KICK_ASK] = ICR_MODE_OF(APIC_NMI),
	};

	host_lapic_send(container_of(processor, struct cpu, processor)->apic_id, ICR_ASSERT | messages[what]);
}

void kick_init(void)
{
	cpu_set_interrupt(VECTOR_LOOK, look);
	cpu_set_interrupt(VECTOR_WAKE, wake);
}
