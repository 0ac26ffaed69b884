/* SPDX-License-Identifier: MIT */
#pragma once
/* What VT-x keeps for each processor, and the one place that knows which VMCS is current on it. */
#include "arch/x86/host/cpu.h"
#include "arch/x86/vmx/insn.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/vcpu.h"

struct vmx_cpu {
	hpa_t            vmxon;
	struct vmx_vcpu *current;	/* its VMCS is the current one; NULL = none */
};

/* Make this vCPU's VMCS the current one: every VMREAD and VMWRITE below goes to it. */
static inline struct vmx_vcpu *vmx_use(struct vcpu *vcpu)
{
	struct vmx_cpu  *cpu = this_cpu()->arch;
	struct vmx_vcpu *vmx = vcpu->arch;

	if (cpu->current != vmx) {
		(void)vmptrld(vmx->vmcs.raw);
		cpu->current = vmx;
	}
	return vmx;
}
