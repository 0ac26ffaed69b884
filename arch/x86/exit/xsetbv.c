/* SPDX-License-Identifier: MIT */
/* XSETBV: SDM vol. 1, 13.3 "Enabling the XSAVE Feature Set and XSAVE-Enabled Features". */
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/vcpu.h"

/* Pure: may a guest put this into XCR0 when the host offers `mask`? */
bool xcr0_is_valid(uint64_t val, uint64_t mask)
{
	if ((val & ~mask) || !(val & XCR0_X87))
		return false;
	if ((val & XCR0_AVX) && !(val & XCR0_SSE))
		return false;
	if ((val & XCR0_AVX512) && ((val & XCR0_AVX512) != XCR0_AVX512 || !(val & XCR0_AVX)))
		return false;
	return true;
}

enum exit_result exit_xsetbv(struct vcpu *vcpu)
{
	uint64_t val = join32(lo32(vcpu->gpr[GPR_RDX]), vcpu->gpr[GPR_RAX]);

	/* Invalid before anything else is looked at (SDM vol. 2, XSETBV). A processor may leave the guest first. */
	if (!(virt->get(vcpu, REG_CR4) & CR4_OSXSAVE)) {
		vcpu_inject_ud(vcpu);
		return EXIT_RESUME;
	}
	if (lo32(vcpu->gpr[GPR_RCX]) || vcpu_cpl(vcpu) || !xcr0_is_valid(val, fpu_guest_xcr0_mask())) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	/* The guest's XCR0 is live in the processor while its vCPU is loaded (host/fpu.h). */
	vcpu->xcr0 = val;
	xsetbv(0, val);
	return EXIT_SKIP;
}
