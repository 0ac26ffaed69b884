/* SPDX-License-Identifier: MIT */
/*
 * Exits that end a VM: the scheduler prints the state of the vCPU whose exit it was, by name (vm->dumped), and nobody
 * else comes to harm. If another's exit, on another processor, ended it first, that one is printed.
 */
#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/backend.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

enum exit_result exit_fatal(struct vcpu *vcpu, const char *what, uint64_t code)
{
	if (vm_kill(vcpu->vm, "%s 0x%lx (exit %s)", what, code, exit_name(vcpu->exit.reason)))
		vcpu->vm->dumped = vcpu;
	return EXIT_STOP;
}

enum exit_result exit_triple_fault(struct vcpu *vcpu)
{
	struct segment idt;

	virt->get_seg(vcpu, SEG_IDTR, &idt);
	if (!vm_kill(vcpu->vm, "triple fault at rip 0x%lx", virt->get(vcpu, REG_RIP)))
		return EXIT_STOP;
	vcpu->vm->dumped = vcpu;
	vm_log(vcpu->vm, "an exception could not be delivered, nor the double fault after it, through the IDT at 0x%lx, "
	       "limit 0x%x", idt.base, idt.limit);
	return EXIT_STOP;
}
