/* SPDX-License-Identifier: MIT */
/*
 * The interrupt shadow where VMRUN forgets it (quirks.forgets_shadow, arch/x86/virt/quirks.h): kept in
 * software from exit to entry, and left before an interrupt window is opened.
 */
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/emulate/walk.h"
#include "arch/x86/virt/quirks.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/timer.h"

#define SHADOW_EXITS_MAX	64U
#define SHADOW_LOOKS_PER_SECOND	10000U

/*
 * The guest goes on where it exited, and the next exit at the same RIP says that there is no shadow. An interrupt
 * delivered then would come between STI and HLT, or MOV SS and MOV SP: that HLT waits for ever. An instruction that
 * has not been left is still covered. A jump to itself looks the same without being so, hence the limit.
 */
void svm_keep_shadow(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	if (svm->is_stepping)		/* out of a shadow: svm_read_exit looks for a step only at an IRET */
		svm_end_step(vcpu);
	if (vmcb->control.interrupt_shadow & INTERRUPT_SHADOW) {
		svm->shadow_rip = vmcb->save.rip;
		svm->shadow_exits = 0;
	} else if (svm->shadow_rip == vmcb->save.rip && svm->shadow_exits < SHADOW_EXITS_MAX) {
		svm->shadow_exits++;
		vmcb->control.interrupt_shadow |= INTERRUPT_SHADOW;
	} else {
		svm->shadow_rip = SVM_NO_SHADOW;
	}
}

/* An open window would exit inside the shadow, at once and again and again. */
bool svm_window_must_wait(const struct vmcb *vmcb)
{
	return quirks.forgets_shadow && vmcb->control.interrupt_shadow & INTERRUPT_SHADOW;
}

/*
 * May the instruction at RIP run with our TF? By its first byte: not those that push, save or load RFLAGS,
 * not a far CALL or JMP, which may switch tasks and save them, not those that load SS, behind which #DB waits
 * for another instruction (SDM vol. 3, 6.8.3), and nothing behind a prefix, which would have to be decoded.
 */
static bool bears_step(struct vcpu *vcpu)
{
	static const struct { uint8_t first, last; } not_these[] = {
		{ 0x0f, 0x0f }, { 0x17, 0x17 }, { 0x26, 0x26 }, { 0x2e, 0x2e }, { 0x36, 0x36 }, { 0x3e, 0x3e }, { 0x40, 0x4f },
		{ 0x64, 0x67 }, { 0x8e, 0x8e }, { 0x9a, 0x9a }, { 0x9c, 0x9d }, { 0xcc, 0xcf }, { 0xea, 0xea },
		{ 0xf0, 0xf3 }, { 0xff, 0xff },
	};
	uint8_t bytes[INSN_MAX];

	if (vcpu->exit.rip != svm_of(vcpu)->vmcb->save.rip || !gva_fetch_insn(vcpu, bytes))
		return false;
	for (size_t i = 0; i < countof(not_these); i++)
		if (bytes[0] >= not_these[i].first && bytes[0] <= not_these[i].last)
			return false;
	return true;
}

/* The shadow ends with one step, or where a step would show, is looked at when the host's timer fires. */
void svm_leave_shadow(struct vcpu *vcpu, bool may_step)
{
	if (may_step && !svm_of(vcpu)->is_stepping && bears_step(vcpu))
		svm_begin_step(vcpu);
	else
		host_wake_at(time_now() + time_hz() / SHADOW_LOOKS_PER_SECOND);
}
