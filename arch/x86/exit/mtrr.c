/* SPDX-License-Identifier: MIT */
/*
 * Memory type range registers: kept and read back, with no effect, because EPT and NPT give guest RAM its
 * memory type. What a guest writes is checked as SDM vol. 3, 12.11.2 "Memory Type Range Registers" says.
 */
#include "arch/x86/exit/mtrr.h"

#include "arch/x86/hw/memtype.h"
#include "arch/x86/hw/msr.h"
#include "hv/addr.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

_Static_assert(MTRR_DEFAULT < MTRR_REGS, "the default type is the last of vcpu->mtrr");

#define MTRR_DEF_ENABLES	FIELD(11, 10)
#define MTRR_PAIR_VALID		BIT(11)
#define MTRR_TYPE		FIELD(7, 0)
#define EIGHT_WB		0x0606060606060606ULL

/* Which slot of vcpu->mtrr; the table admits only registers that have one. */
static unsigned slot_of(uint32_t msr)
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

uint64_t *mtrr_slot(struct vcpu *vcpu, uint32_t msr)
{
	return &vcpu->mtrr[index_nospec(slot_of(msr), MTRR_REGS)];
}

bool mtrr_is_valid(uint32_t msr, uint64_t val, unsigned phys_bits)
{
	unsigned slot = slot_of(msr);
	uint64_t page = (BIT(phys_bits) - 1) & ~(PAGE_SIZE - 1), type = val & MTRR_TYPE;
	bool has_type = type < MEMTYPE_COUNT && (MTRR_TYPES_VALID & BIT(type));

	if (slot == MTRR_DEFAULT)
		return has_type && !(val & ~(MTRR_DEF_ENABLES | MTRR_TYPE));
	if (slot >= MTRR_FIXED)
		return memtypes_are_valid(val, MTRR_TYPES_VALID);
	if (slot % 2)
		return !(val & ~(page | MTRR_PAIR_VALID));
	return has_type && !(val & ~(page | MTRR_TYPE));
}

/* All write-back and enabled. With the reset values of hardware a guest would believe that its RAM is uncached. */
void mtrr_reset(struct vcpu *vcpu)
{
	for (size_t i = 0; i < countof(vcpu->mtrr); i++)
		vcpu->mtrr[i] = 0;
	for (unsigned i = MTRR_FIXED; i < MTRR_DEFAULT; i++)
		vcpu->mtrr[i] = EIGHT_WB;
	vcpu->mtrr[MTRR_DEFAULT] = MTRR_DEF_ENABLES | MEMTYPE_WB;
}
