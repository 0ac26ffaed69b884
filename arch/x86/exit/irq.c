/* SPDX-License-Identifier: MIT */
/* Exits that are not the guest's doing: host interrupts, NMIs, and the windows we asked for. */
#include "arch/x86/exit/handlers.h"
#include "arch/x86/host/interrupt.h"
#include "hv/vcpu.h"
#include "hv/watch.h"

/* The host's own interrupt, already acknowledged: run its handler, which sets `attention` if the loop must end. */
enum exit_result exit_external_irq(struct vcpu *vcpu, uint8_t vector)
{
	cpu_dispatch_interrupt(vector);
	exit_progress(vcpu);
	return EXIT_RESUME;
}

/* A physical NMI is the host's, whose handler has run; guests only get the ones their own APIC sends. */
enum exit_result exit_host_nmi(struct vcpu *vcpu)
{
	exit_progress(vcpu);
	watch_answer();
	return EXIT_RESUME;
}

/* The vCPU's turn is over (VMX-preemption timer): leave the run loop, and the scheduler picks the next vCPU. */
enum exit_result exit_turn_over(struct vcpu *vcpu)
{
	(void)vcpu;
	return EXIT_STOP;
}

/* The guest can take an interrupt (or an NMI) now: deliver looks again before the next entry. */
enum exit_result exit_irq_window(struct vcpu *vcpu)
{
	vcpu->irq_check = true;
	exit_progress(vcpu);
	return EXIT_RESUME;
}

enum exit_result exit_nmi_window(struct vcpu *vcpu)
{
	vcpu->nmi_blocked = false;
	return exit_irq_window(vcpu);
}
