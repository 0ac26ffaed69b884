/* SPDX-License-Identifier: MIT */
/* Registers that stay in the processor across exits change hands here (contract in load.h). */
#include "arch/x86/virt/load.h"

#include "arch/x86/exit/debug.h"
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

void vcpu_set_cr2(struct vcpu *vcpu, uint64_t addr)
{
	vcpu->cr2 = addr;
	write_cr2(addr);
}

void vcpu_unload(struct vcpu *vcpu)
{
	if (this_cpu()->loaded != vcpu)
		return;
	virt->put(vcpu);	/* first: AMD-V moves CR2 from its VMCB into the register that is read below */
	vcpu->xcr0 = fpu_live_xcr0();
	fpu_save(vcpu->fpu, vcpu->xcr0);
	vcpu->cr2 = read_cr2();
	vcpu_tell_preempted(vcpu);
	this_cpu()->loaded = NULL;
}

void vcpu_load(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();

	vcpu_start_if_due(vcpu);
	if (cpu->loaded == vcpu)
		return;
	if (cpu->loaded)
		vcpu_unload(cpu->loaded);
	fpu_restore(vcpu->fpu, vcpu->xcr0, vcpu->xss);
	dr_load(vcpu);
	write_cr2(vcpu->cr2);
	speculation_leave_vm(vcpu->vm->id);	/* after the last access to the old vCPU's state */
	virt->load(vcpu);	/* last: AMD-V copies vcpu->cr2 into its VMCB */
	cpu->loaded = vcpu;
	vcpu->processor = &cpu->processor;
	if (vcpu_tell_running(vcpu))
		virt->flush(vcpu);
	if (vcpu->requests)	/* after the line above: who asked its former owner is answered here */
		vcpu->irq_check = true;
}

void vcpu_give(struct vcpu *vcpu, struct processor *to)
{
	vcpu_unload(vcpu);
	virt->leave(vcpu);
	vcpu->processor = to;	/* last: whoever reads it there sees all of the above */
}
