/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What VT-x does on one processor: which VMCS is current on it, struct cpu's `current`, and forgetting translations.
 * At most one VMCS is current on a processor, and a VMCS must not be active on two.
 */
#include "arch/x86/host/cpu.h"
#include "arch/x86/virt/quirks.h"
#include "arch/x86/vmx/insn.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/dev/lapic_page.h"
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
 * virtual_apic.c, by vmx_deliver with the VMCS current: tell the processor what it does not know of the guest's local
 * APIC. True: it delivers what is requested there. False: that has to be injected.
 */
bool vmx_settle_apic(struct vcpu *vcpu);
static inline bool vmx_delivers(struct vcpu *vcpu)
{
	const struct vmx_vcpu *vmx = vcpu->arch;

	return vmx->apic_page && ((vcpu->lapic.page && !lapic_has_news(&vcpu->lapic) && !quirks.delivers_masked) || vmx_settle_apic(vcpu));
}

/*
 * quirk_masked.c, only for quirks.delivers_masked. May the processor have the vectors: is nothing requested, or one that
 * the guest takes as soon as it can take any? And if it has them: must the interrupt window hold that one back?
 */
bool vmx_leaves_none_behind(struct vcpu *vcpu);
bool vmx_must_wait(struct vcpu *vcpu);

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
