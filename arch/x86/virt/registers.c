/* SPDX-License-Identifier: MIT */
/* A vCPU's registers when it is created, and those that the rest of the tree asks for by name (contract in vcpu.h). */
#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/vcpu.h"

int vcpu_registers_init(struct vcpu *vcpu)
{
	vcpu->xcr0 = XCR0_X87;		/* as after a reset: SDM vol. 1, 13.3 */
	dr_reset(vcpu);
	msr_reset(vcpu);
	vcpu->fpu = page_alloc_contiguous(fpu_area_pages());
	if (!vcpu->fpu)
		return -1;
	fpu_area_init(vcpu->fpu);
	return 0;
}

void vcpu_registers_free(struct vcpu *vcpu)
{
	if (vcpu->fpu)
		page_free_contiguous(vcpu->fpu, fpu_area_pages());
	vcpu->fpu = NULL;
}

/* ---- By name ---- */

uint64_t vcpu_gpr(struct vcpu *vcpu, enum gpr reg)
{
	return reg == GPR_RSP ? virt->get(vcpu, REG_RSP) : vcpu->gpr[reg];
}

void vcpu_set_gpr(struct vcpu *vcpu, enum gpr reg, uint64_t val)
{
	if (reg == GPR_RSP)
		virt->set(vcpu, REG_RSP, val);
	else
		vcpu->gpr[reg] = val;
}

uint64_t vcpu_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high)
{
	uint64_t val = vcpu_gpr(vcpu, reg);

	return (is_high ? field_get(val, FIELD(15, 8)) : val) & size_mask(size);
}

void vcpu_set_gpr_sized(struct vcpu *vcpu, enum gpr reg, unsigned size, bool is_high, uint64_t val)
{
	uint64_t old = vcpu_gpr(vcpu, reg);

	if (is_high)
		val = field_set(old, FIELD(15, 8), val);
	else if (size < 4)
		val = (old & ~size_mask(size)) | (val & size_mask(size));
	else
		val &= size_mask(size);		/* a 32-bit result clears the upper half */
	vcpu_set_gpr(vcpu, reg, val);
}

uint8_t vcpu_cpl(struct vcpu *vcpu)
{
	/* SS.DPL is the CPL in every mode (SDM vol. 3, 25.4.1); real mode has 0, virtual-8086 mode 3 there. */
	return (uint8_t)field_get(virt->get(vcpu, REG_SS_RIGHTS), SEG_DPL_MASK);
}

enum insn_mode vcpu_mode(struct vcpu *vcpu)
{
	uint64_t rights = virt->get(vcpu, REG_CS_RIGHTS);

	if ((rights & SEG_L) && (virt->get(vcpu, REG_EFER) & EFER_LMA))
		return INSN_64;
	return rights & SEG_DB ? INSN_32 : INSN_16;
}
