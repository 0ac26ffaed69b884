/* SPDX-License-Identifier: MIT */
/*
 * AMD-V as a struct virt_backend, and the entry itself: svm_enter runs the guest and turns the exit into
 * vcpu->exit. What follows is neutral: arch/x86/exit/dispatch.c looks up the row and calls its handler.
 */
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/quirks.h"

/*
 * Before VMRUN the vCPU needs a valid ASID on this processor, and RAX goes into the VMCB: VMRUN takes the
 * VMCB's address in RAX, so the guest's RAX cannot wait in the register (APM vol. 2, 15.5.1).
 *
 * Two pages hold our own state meanwhile. VMRUN writes what #VMEXIT loads again (RSP, CR3 and the like) into
 * the page that VM_HSAVE_PA names. Neither touches FS, GS, TR, LDTR and the MSRs of SYSCALL and SYSENTER: ours
 * lie in the page at cpu->host_pa since svm_cpu_on, and switch.asm loads them from there (15.5.2).
 *
 * After #VMEXIT, EVENTINJ and TLB_CONTROL are orders that have been carried out; the processor leaves them
 * in the VMCB, and would carry them out again. All clean bits are set: from here on whoever changes a field
 * clears its bit.
 */
void svm_enter(struct vcpu *vcpu)
{
	struct svm_vcpu *svm = svm_of(vcpu);
	struct svm_cpu  *cpu = this_cpu()->arch;
	struct vmcb     *vmcb = svm->vmcb;

	if (svm->want_flush || svm->cpu != cpu || svm->asid_generation != cpu->asid_generation)
		svm_asid_pick(svm, cpu, &svm_features);
	if (quirks.mixes_cs)
		svm_mend_cs(vmcb);
	vmcb->save.rax = vcpu->gpr[GPR_RAX];
	svm_vmrun(vcpu->gpr, svm->vmcb_pa, cpu->host_pa);
	vcpu->gpr[GPR_RAX] = vmcb->save.rax;
	vmcb->control.eventinj = 0;
	vmcb->control.tlb_control = TLB_CONTROL_NOTHING;
	vmcb->control.clean_bits = svm->clean_after;
	if (quirks.forgets_shadow)
		svm_keep_shadow(vcpu);
	svm_read_exit(vcpu);
}

const struct virt_backend svm_backend = {
	.name = "AMD-V",
	.block_name = "VMCB",
	.supported = svm_supported,
	.cpu_on = svm_cpu_on,
	.cpu_off = svm_cpu_off,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.load = svm_load,
	.put = svm_put,
	.leave = svm_leave,
	.save = svm_save,
	.restore = svm_restore,
	.deliver = svm_deliver,
	.enter = svm_enter,
	.step_over = svm_step_over,
	.get = svm_get,
	.set = svm_set,
	.get_seg = svm_get_seg,
	.set_seg = svm_set_seg,
	.limit_turn = svm_limit_turn,
	.end_shadow = svm_end_shadow,
	.set_tsc_offset = svm_set_tsc_offset,
	.flush = svm_flush,
	.dump = svm_dump,
	.caps = &svm_guest_caps,
	.npt = &svm_npt_format,
	.exits = { svm_rows, SVM_ROW_COUNT },
};
