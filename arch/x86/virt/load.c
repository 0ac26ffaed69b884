/* SPDX-License-Identifier: MIT */
/* State of a guest that stays in the processor across exits changes hands when another vCPU is to run there. */
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/vcpu.h"

static void take_back(struct vcpu *vcpu)
{
	virt->swap(vcpu, NULL);		/* first: it may hand us registers that its control block holds */
	vcpu->xcr0 = fpu_live_xcr0();
	fpu_save(vcpu->fpu, vcpu->xcr0, vcpu->xss);
	vcpu->cr2 = read_cr2();
}

void vcpu_load(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();

	if (cpu->loaded == vcpu)
		return;
	if (cpu->loaded)
		take_back(cpu->loaded);
	fpu_restore(vcpu->fpu, vcpu->xcr0, vcpu->xss);
	dr_load(vcpu);
	write_cr2(vcpu->cr2);
	virt->swap(NULL, vcpu);		/* last: it may take them from us */
	cpu->loaded = vcpu;
}
