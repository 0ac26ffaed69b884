/* SPDX-License-Identifier: MIT */
/* AMD-V as the neutral code sees it. */
#include "arch/x86/svm/svm.h"
#include "arch/x86/virt/backend.h"

const struct virt_backend svm_backend = {
	.name = "AMD-V",
	.block_name = "VMCB",
	.supported = svm_supported,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.swap = svm_swap,
	.deliver = svm_deliver,
	.enter = svm_enter,
	.handle = svm_handle,
	.get = svm_get,
	.set = svm_set,
	.get_seg = svm_get_seg,
	.set_seg = svm_set_seg,
	.flush = svm_flush,
	.dump = svm_dump,
	.npt = &svm_npt_format,
	.exits = svm_exits,
};
