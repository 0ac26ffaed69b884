/* SPDX-License-Identifier: MIT */
/* Exits that end a VM: with its state printed by name, and without harm to anybody else. */
#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/backend.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* The same exit at the same RIP this often, with nothing to show for it, is a bug in a handler or an attack. */
#define EXIT_LOOP_MAX 64U

const char *exit_name(uint32_t reason)
{
	const struct exit_row *row = exit_find(virt->exits, reason);

	return row ? row->name : "unknown exit";
}

void exit_progress(struct vcpu *vcpu)
{
	vcpu->made_progress = true;
}

enum exit_result exit_resume_check(struct vcpu *vcpu, uint32_t reason, uint64_t rip)
{
	if (vcpu->made_progress || rip != vcpu->loop_rip || reason != vcpu->loop_reason) {
		vcpu->made_progress = false;
		vcpu->loop_rip = rip;
		vcpu->loop_reason = reason;
		vcpu->loop_count = 0;
		return EXIT_RESUME;
	}
	if (++vcpu->loop_count < EXIT_LOOP_MAX)
		return EXIT_RESUME;
	vm_log(vcpu->vm, "RIP did not move: exit \"%s\" came %u times at rip 0x%lx", exit_name(reason), EXIT_LOOP_MAX, rip);
	return exit_fatal(vcpu, "RIP did not move, exit reason", reason);
}

enum exit_result exit_fatal(struct vcpu *vcpu, const char *what, uint64_t code)
{
	vm_kill(vcpu->vm, "%s 0x%lx", what, code);
	vcpu_dump(vcpu);
	return EXIT_STOP;
}

enum exit_result exit_triple_fault(struct vcpu *vcpu)
{
	struct segment idt;

	virt->get_seg(vcpu, SEG_IDTR, &idt);
	vm_kill(vcpu->vm, "triple fault at rip 0x%lx", virt->get(vcpu, REG_RIP));
	vm_log(vcpu->vm, "an exception could not be delivered, nor the double fault after it, through the IDT at 0x%lx, "
	       "limit 0x%x", idt.base, idt.limit);
	vcpu_dump(vcpu);
	return EXIT_STOP;
}

/* A hardware task switch: no 64-bit kernel does it, and emulating it is where others broke (XSA-192, XSA-196). */
enum exit_result exit_task_switch(struct vcpu *vcpu)
{
	return exit_fatal(vcpu, "hardware task switch (not emulated), rip", virt->get(vcpu, REG_RIP));
}
