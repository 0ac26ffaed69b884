/* SPDX-License-Identifier: MIT */
/* Errors of the hardware (contract in machine_check.h). */
#include "arch/x86/host/machine_check.h"

#include "arch/x86/host/fixup.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"
#include "hv/log.h"

#define MCG_CAP_COUNT	FIELD(7, 0)
#define MCG_CAP_CTL	BIT(8)		/* there is an IA32_MCG_CTL */
#define BANKS_MAX	32U		/* those with MSRs in a row */

/* IA32_MCi_STATUS: SDM vol. 3, 16.3.2.2; the same bits on AMD's processors. */
#define MC_VALID	BIT(63)
#define MC_UNCORRECTED	BIT(61)
#define MC_HAS_MISC	BIT(59)
#define MC_HAS_ADDR	BIT(58)

static uint32_t bank_msr(enum msr of_bank_0, uint32_t bank)
{
	return (uint32_t)of_bank_0 + 4 * bank;
}

/* What the processor says about its banks; 0: it has none, or not as the manuals say. */
static uint64_t capability(void)
{
	const uint32_t needs = (uint32_t)(CPUID1_D_MCE | CPUID1_D_MCA);
	uint64_t cap;

	if ((cpuid(CPUID_FEATURES, 0).edx & needs) != needs || !rdmsr_safe(MSR_IA32_MCG_CAP, &cap))
		return 0;
	return cap;
}

static uint32_t count_banks(uint64_t cap)
{
	return (uint32_t)min_u64(field_get(cap, MCG_CAP_COUNT), BANKS_MAX);
}

/* Those processors whose bank 0 is the firmware's alone (SDM vol. 3, 16.3.2.1) are too old for us. */
void machine_check_enable(void)
{
	const uint64_t cap = capability();

	if (cap & MCG_CAP_CTL)
		(void)!wrmsr_safe(MSR_IA32_MCG_CTL, ~0ULL);
	for (uint32_t i = 0; i < count_banks(cap); i++) {
		(void)!wrmsr_safe(bank_msr(MSR_IA32_MC0_CTL, i), ~0ULL);
		(void)!wrmsr_safe(bank_msr(MSR_IA32_MC0_STATUS, i), 0);
	}
}

static void note_bank(struct mc_bank *bank, uint32_t index, uint64_t status)
{
	*bank = (struct mc_bank){ .index = index, .status = status };
	if (status & MC_HAS_ADDR)
		(void)!rdmsr_safe(bank_msr(MSR_IA32_MC0_ADDR, index), &bank->addr);
	if (status & MC_HAS_MISC)
		(void)!rdmsr_safe(bank_msr(MSR_IA32_MC0_MISC, index), &bank->misc);
}

void machine_check_note(struct machine_check *note)
{
	const uint32_t count = count_banks(capability());

	*note = (struct machine_check){ 0 };
	if (count)
		(void)!rdmsr_safe(MSR_IA32_MCG_STATUS, &note->global);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t status;

		if (!rdmsr_safe(bank_msr(MSR_IA32_MC0_STATUS, i), &status) || !(status & MC_VALID))
			continue;
		if (note->count < MC_BANKS_NOTED)
			note_bank(&note->banks[note->count], i, status);
		note->count++;
	}
}

void machine_check_log(const struct machine_check *note)
{
	if (!note->count)
		return;
	log_say("  %u bank(s) of the machine check hold an error, global status %lx", note->count, note->global);
	for (uint32_t i = 0; i < note->count && i < MC_BANKS_NOTED; i++) {
		const struct mc_bank *bank = &note->banks[i];

		log_say("  bank %u: %s error, status %016lx, address %016lx, misc %016lx", bank->index,
			bank->status & MC_UNCORRECTED ? "an uncorrected" : "a corrected", bank->status, bank->addr, bank->misc);
	}
}
