/* SPDX-License-Identifier: MIT */
/*
 * Instructions by which a guest waits: HLT, PAUSE, MONITOR and MWAIT. And cache control, INVD and WBINVD:
 * nothing to do.
 */
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/dev/apic_wires.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define PAUSES_TO_YIELD	16U

/*
 * Nothing in this VM can ever run again: every vCPU waits, none of them for an interrupt, none has a request
 * left that could wake it, and no device can send an NMI. `requests` is read before the state: it stays set
 * until the state says what came of it. One that was seen running may ask something of one that was passed
 * already, and then halt too: it counts that in `halts` first. So when the count has changed nothing is known
 * here, and whoever changed it looks himself, as does an owner whose requests were seen here, when he has
 * taken them and his vCPU sleeps on (hv/request.c).
 */
static bool halted_for_good(const struct vm *vm)
{
	uint32_t halts = vm->halts;

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		const struct vcpu *other = vm->vcpus[i];

		if (other->requests || other->state == VCPU_READY || (other->state == VCPU_HALTED && other->halted_if))
			return false;
	}
	return !apic_wires_carry_nmi(vm) && vm->halts == halts;
}

void vm_stop_if_asleep(struct vm *vm)
{
	if (halted_for_good(vm))
		vm_stop(vm, VM_END_SHUTDOWN, "halted with interrupts off: nothing can wake it");
}

/*
 * HLT: the vCPU leaves the run queue, and the processor halts when no other vCPU has work. The instruction counts
 * as executed, so that the handler of the interrupt that wakes the vCPU returns behind HLT.
 */
enum exit_result exit_hlt(struct vcpu *vcpu)
{
	vcpu->halted_if = virt->get(vcpu, REG_RFLAGS) & RFLAGS_IF;
	if (dr_step_due(vcpu) || !vcpu_may_sleep(vcpu)) {
		vcpu->is_unhalted = false;
		return EXIT_SKIP;
	}
	vcpu_halt(vcpu);
	if (!vcpu->halted_if)
		vm_stop_if_asleep(vcpu->vm);
	return EXIT_SKIP_STOP;
}

/* One that takes turns with it on this processor. */
static bool has_ready_sibling(const struct vcpu *vcpu)
{
	for (uint32_t i = 0; i < vcpu->vm->vcpu_count; i++) {
		const struct vcpu *other = vcpu->vm->vcpus[i];

		if (other != vcpu && other->state == VCPU_READY && other->processor == vcpu->processor)
			return true;
	}
	return false;
}

/*
 * This vCPU spins. An exit stands for some thousand ticks of spinning: the hardware has counted PAUSEs, or, where it
 * cannot count, the exit itself took that long. The first exits change nothing, because most locks are held for a short
 * time only. After PAUSES_TO_YIELD exits a sibling that is ready runs in this vCPU's place.
 */
enum exit_result exit_pause(struct vcpu *vcpu)
{
	if (++vcpu->pauses % PAUSES_TO_YIELD || !has_ready_sibling(vcpu))
		return EXIT_SKIP;
	vcpu->yields = true;
	return EXIT_SKIP_STOP;
}

/* CPUID does not offer MONITOR and MWAIT: #UD. */
enum exit_result exit_monitor(struct vcpu *vcpu) { return exit_undefined(vcpu); }
enum exit_result exit_mwait(struct vcpu *vcpu) { return exit_undefined(vcpu); }

/* Guest memory is write-back and coherent, no device of ours looks past the caches: nothing to do. */
enum exit_result exit_wbinvd(struct vcpu *vcpu)
{
	(void)vcpu;
	return EXIT_SKIP;
}

/*
 * INVD would throw away other VMs' and our own dirty lines. A guest gets WBINVD's answer, which it cannot
 * tell apart.
 */
enum exit_result exit_invd(struct vcpu *vcpu)
{
	return exit_wbinvd(vcpu);
}
