/* SPDX-License-Identifier: MIT */
/* Intel VT-x as a struct virt_backend, and the entry itself. */
#include "arch/x86/virt/backend.h"

#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/state.h"
#include "arch/x86/vmx/vmx_cpu.h"

/* switch.asm: 0 after an exit; 1 VMfailInvalid, 2 VMfailValid. */
uint64_t vmx_switch(struct vcpu *vcpu, uint64_t is_launched, uint64_t *host_rsp);

void vmx_enter(struct vcpu *vcpu)
{
	struct vmx_vcpu *vmx = vmx_use(vcpu);

	if (__builtin_expect(vmx_switch(vcpu, vmx->is_launched, &vmx->host_rsp) == 0, 1)) {
		vmx->is_launched = true;
		vmx->failed = 0;
	} else {
		vmx->failed = (uint32_t)vmread(VMCS_VM_INSTRUCTION_ERROR) | (uint32_t)VMX_FAILED;
	}
}

const struct virt_backend vmx_backend = {
	.name = "VT-x", .block_name = "VMCS",
	.supported = vmx_supported, .cpu_on = vmx_cpu_on, .cpu_off = vmx_cpu_off,
	.vcpu_create = vmx_vcpu_create, .vcpu_destroy = vmx_vcpu_destroy, .vcpu_reset = vmx_vcpu_reset,
	.load = vmx_load, .save = vmx_save,
	.deliver = vmx_deliver, .enter = vmx_enter, .handle = vmx_handle,
	.get = vmx_get, .set = vmx_set, .get_seg = vmx_get_seg, .set_seg = vmx_set_seg,
	.flush = vmx_flush, .dump = vmx_dump,
	.npt = &vmx_npt_format, .exits = vmx_exit_tables,
};
