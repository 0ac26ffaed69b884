/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What VT-x does on one processor: which VMCS is current on it, struct cpu's `current`, and forgetting translations.
 * At most one VMCS is current on a processor, and a VMCS must not be active on two.
 */
#include "arch/x86/host/cpu.h"
#include "arch/x86/vmx/insn.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/panic.h"
#include "hv/vcpu.h"

struct vmx_vcpu *vmx_make_current(struct vmx_vcpu *vmx);	/* VMPTRLD; state.c */

/* Make this vCPU's VMCS the current one: every VMREAD and VMWRITE below goes to it. */
static inline struct vmx_vcpu *vmx_use(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vcpu->arch;

	return this_cpu_current() == vmx ? vmx : vmx_make_current(vmx);
}

/*
 * Forget translations: INVEPT and INVVPID with a type that the processor has. When one fails after all the mistake is
 * ours, and to go on would be to run a guest with translations into memory that is another's.
 */
static inline void vmx_invept(uint64_t type, uint64_t eptp)
{
	if (!invept(type, eptp))
		panic("INVEPT of type %lu failed", type);
}

static inline void vmx_invvpid(uint64_t type, uint16_t vpid)
{
	if (!invvpid(type, vpid))
		panic("INVVPID of type %lu failed", type);
}
