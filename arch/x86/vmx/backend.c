/* SPDX-License-Identifier: MIT */
/* Intel VT-x as a struct virt_backend, and the entry itself. */
#include "arch/x86/virt/backend.h"

#include <stddef.h>

#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/state.h"
#include "arch/x86/vmx/vmx_cpu.h"

/* switch.asm: returns at the exit; when there was no entry, vmx->failed says so. */
void vmx_switch(struct vcpu *vcpu, struct vmx_vcpu *vmx);

/* What switch.asm takes for granted. */
_Static_assert(offsetof(struct vcpu, gpr) == 0 && offsetof(struct vcpu, arch) == 128, "switch.asm: GPR, ARCH");
_Static_assert(offsetof(struct vmx_vcpu, host_rsp) == 0 && offsetof(struct vmx_vcpu, failed) == 8 &&
	       offsetof(struct vmx_vcpu, launched) == 16, "switch.asm: host_rsp, FAILED, LAUNCHED");

void vmx_enter(struct vcpu *vcpu)
{
	vmx_switch(vcpu, vmx_use(vcpu));
}

const struct virt_backend vmx_backend = {
	.name = "VT-x", .block_name = "VMCS",
	.supported = vmx_supported, .cpu_on = vmx_cpu_on, .cpu_off = vmx_cpu_off,
	.vcpu_create = vmx_vcpu_create, .vcpu_destroy = vmx_vcpu_destroy, .vcpu_reset = vmx_vcpu_reset,
	.swap = vmx_swap,
	.deliver = vmx_deliver, .enter = vmx_enter, .handle = vmx_handle,
	.get = vmx_get, .set = vmx_set, .get_seg = vmx_get_seg, .set_seg = vmx_set_seg,
	.limit_turn = vmx_limit_turn, .end_shadow = vmx_end_shadow, .set_tsc_offset = vmx_set_tsc_offset,
	.flush = vmx_flush, .dump = vmx_dump,
	.npt = &vmx_npt_format, .exits = vmx_exit_tables,
};
