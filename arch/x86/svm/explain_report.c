/* SPDX-License-Identifier: MIT */
/*
 * A refused VMRUN in words: what explain.c finds by checking the VMCB itself. VMEXIT_INVALID that comes from
 * a guest that has run is no refusal, and goes back to that guest.
 */
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/emulate/fetch.h"
#include "arch/x86/exit/exit.h"
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/features.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define EXPLAIN_MAX	8U
#define CR4_KNOWN	(FIELD(12, 0) | FIELD(18, 16) | FIELD(23, 20))

/*
 * A VMRUN that Bochs refuses stores our own state in the VMCB: what stands at its RIP is then no instruction
 * of the guest, which must not go on with such a state.
 */
static bool holds_our_state(const struct vmcb *vmcb)
{
	return vmcb->save.idtr.base == this_cpu()->idt_base;
}

/*
 * MOV to CR3 with reserved bits is #GP(0) in 64-bit mode (APM vol. 2, 5.3.2 "CR3"); QEMU ends the guest with
 * VMEXIT_INVALID there. Asked when the VMCB breaks no rule.
 */
static bool is_bad_cr3(struct vcpu *vcpu)
{
	const struct insn *insn;

	return !holds_our_state(svm_of(vcpu)->vmcb) && vcpu_mode(vcpu) == INSN_64 && fetch_insn(vcpu, &insn) == FETCH_OK &&
	       insn->kind == INSN_MOV_CR && insn->to_cr_dr && insn->cr_dr == 3 && (vcpu_gpr(vcpu, insn->reg) >> cpu_features.phys_bits);
}

enum exit_result svm_entry_refused(struct vcpu *vcpu)
{
	const struct svm_limits limits = {
		.phys_bits = cpu_features.phys_bits, .has_long_mode = true, .cr4_reserved = ~CR4_KNOWN,
	};
	struct svm_explain broken[EXPLAIN_MAX];
	size_t count = svm_explain(svm_of(vcpu)->vmcb, &limits, broken, EXPLAIN_MAX);

	if (!count && is_bad_cr3(vcpu)) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	vm_log(vcpu->vm, "VMRUN refused the VMCB (VMEXIT_INVALID): %lu rule%s broken (APM vol. 2, 15.5.1)",
	       count, count == 1 ? "" : "s");
	for (size_t i = 0; i < count && i < EXPLAIN_MAX; i++)
		vm_log(vcpu->vm, "  %s = 0x%lx: %s", broken[i].field, broken[i].val, broken[i].rule);
	return exit_fatal(vcpu, "VMRUN refused the VMCB, rules broken:", count);
}
