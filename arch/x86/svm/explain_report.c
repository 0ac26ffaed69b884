/* SPDX-License-Identifier: MIT */
/* A refused VMRUN in words: what explain.c finds by checking the VMCB itself. */
#include "arch/x86/svm/svm.h"

#include "arch/x86/exit/exit.h"
#include "arch/x86/host/features.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define EXPLAIN_MAX	8U
#define CR4_KNOWN	(FIELD(12, 0) | FIELD(18, 16) | FIELD(23, 20))

enum exit_result svm_entry_refused(struct vcpu *vcpu)
{
	const struct svm_limits limits = {
		.phys_bits = cpu_features.phys_bits, .has_long_mode = true, .cr4_reserved = ~CR4_KNOWN,
	};
	struct svm_explain broken[EXPLAIN_MAX];
	size_t count = svm_explain(svm_of(vcpu)->vmcb, &limits, broken, EXPLAIN_MAX);

	vm_log(vcpu->vm, "VMRUN refused the VMCB (VMEXIT_INVALID): %lu rule%s broken (APM vol. 2, 15.5.1)",
	       count, count == 1 ? "" : "s");
	for (size_t i = 0; i < count && i < EXPLAIN_MAX; i++)
		vm_log(vcpu->vm, "  %s = 0x%lx: %s", broken[i].field, broken[i].val, broken[i].rule);
	return exit_fatal(vcpu, "VMRUN refused the VMCB, rules broken:", count);
}
