/* SPDX-License-Identifier: MIT */
/*
 * Memory type range registers: kept and read back, with no effect, because EPT and NPT give guest RAM its
 * memory type. What a guest writes is checked as SDM vol. 3, 12.11.2 "Memory Type Range Registers" says.
 */
#include "arch/x86/exit/mtrr.h"

#include "arch/x86/host/cpu.h"
#include "hv/lib/bits.h"
#include "arch/x86/hw/msr.h"
#include "hv/addr.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

#define MTRRCAP_FIX		BIT(8)
#define MTRRCAP_WC		BIT(10)
#define MTRR_DEF_ENABLES	FIELD(11, 10)
#define MTRR_PAIR_VALID		BIT(11)
#define MTRR_TYPES_VALID	(BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6))	/* UC WC WT WP WB */
#define PAT_TYPES_VALID		(MTRR_TYPES_VALID | BIT(7))			/* and UC- */
#define MEMTYPE_WB		6U
#define EIGHT_WB		0x0606060606060606ULL

bool mtrr_read_cap(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	(void)vcpu;
	(void)msr;
	*val = MTRRCAP_WC | MTRRCAP_FIX | MTRR_PAIRS;
	return true;
}

/* Which slot of vcpu->mtrr; the table admits only registers that have one. */
static unsigned mtrr_slot(uint32_t msr)
{
	if (msr == MSR_IA32_MTRR_DEF_TYPE)
		return MTRR_DEFAULT;
	if (msr >= MSR_IA32_MTRR_FIX4K_C0000)
		return MTRR_FIXED + 3 + (msr - MSR_IA32_MTRR_FIX4K_C0000);
	if (msr >= MSR_IA32_MTRR_FIX16K_80000)
		return MTRR_FIXED + 1 + (msr - MSR_IA32_MTRR_FIX16K_80000);
	if (msr == MSR_IA32_MTRR_FIX64K_00000)
		return MTRR_FIXED;
	return msr - MSR_IA32_MTRR_PHYSBASE0;
}

bool mtrr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	*val = vcpu->mtrr[mtrr_slot(msr)];
	return true;
}

/* Are all eight bytes memory types of the set? */
static bool types_are_valid(uint64_t val, uint64_t valid)
{
	for (unsigned i = 0; i < 8; i++, val >>= 8)
		if ((val & 0xff) > 7 || !(valid & BIT(val & 7)))
			return false;
	return true;
}

bool mtrr_write(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	unsigned slot = mtrr_slot(msr);
	uint64_t phys = BIT(cpu_features.phys_bits) - 1;
	uint64_t type = val & 0xff;
	bool ok = type <= 6 && (MTRR_TYPES_VALID & BIT(type & 7));

	if (slot == MTRR_DEFAULT)
		ok = ok && !(val & ~(MTRR_DEF_ENABLES | 0xff));
	else if (slot >= MTRR_FIXED)
		ok = types_are_valid(val, MTRR_TYPES_VALID);
	else if (slot % 2)
		ok = !(val & ~((phys & ~(PAGE_SIZE - 1)) | MTRR_PAIR_VALID));
	else
		ok = ok && !(val & ~((phys & ~(PAGE_SIZE - 1)) | 0xff));
	if (ok)
		vcpu->mtrr[slot] = val;
	return ok;
}

bool pat_is_valid(uint64_t val)
{
	return types_are_valid(val, PAT_TYPES_VALID);
}

/* Everything write-back and switched on: a guest that believes its RAM uncached turns it so. */
void mtrr_reset(struct vcpu *vcpu)
{
	for (size_t i = 0; i < countof(vcpu->mtrr); i++)
		vcpu->mtrr[i] = 0;
	for (unsigned i = MTRR_FIXED; i < MTRR_DEFAULT; i++)
		vcpu->mtrr[i] = EIGHT_WB;
	vcpu->mtrr[MTRR_DEFAULT] = MTRR_DEF_ENABLES | MEMTYPE_WB;
}
