/* SPDX-License-Identifier: MIT */
/*
 * The two permission maps, one pair for all vCPUs: every port exits, and an MSR reaches the guest's own
 * register only where the policy table says PASS. Deny by default: the maps start as all ones.
 *
 * APM vol. 2, 15.10.1 "I/O Permissions Map", 15.11 "MSR Intercepts".
 */
#include "arch/x86/exit/policy.h"
#include "arch/x86/svm/svm_cpu.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/page.h"

/* Three ranges of 8,192 MSRs, 2 KiB of map each; MSRs outside always exit. */
#define MSRPM_RANGE	0x2000U
#define MSRPM_STEP	0x800U
static const uint32_t msrpm_ranges[] = { 0x00000000U, 0xc0000000U, 0xc0010000U };

/* Two bits an MSR: read, write. */
#define MSRPM_READ	1U
#define MSRPM_WRITE	2U
#define MSRS_A_BYTE	4U
#define BITS_AN_MSR	2U

/* Let the guest's own RDMSR, WRMSR or both of this MSR through, if the map has bits for it. */
static void msrpm_pass(uint8_t *map, uint32_t msr, unsigned rights)
{
	for (size_t i = 0; i < countof(msrpm_ranges); i++) {
		uint32_t index = msr - msrpm_ranges[i];

		if (msr < msrpm_ranges[i] || index >= MSRPM_RANGE)
			continue;
		uint8_t *byte = &map[i * MSRPM_STEP + index / MSRS_A_BYTE];

		*byte &= (uint8_t)~(rights << (index % MSRS_A_BYTE * BITS_AN_MSR));
	}
}

void svm_msrpm_build(uint8_t *map, const struct msr_policy *rows, size_t count)
{
	memset(map, 0xff, MSRPM_PAGES * PAGE_SIZE);
	for (size_t i = 0; i < count; i++) {
		unsigned rights = (rows[i].read == MSR_PASS ? MSRPM_READ : 0) |
				  (rows[i].write == MSR_PASS ? MSRPM_WRITE : 0);

		if (rights)
			msrpm_pass(map, rows[i].msr, rights);
	}
}

/* 20 KiB for all vCPUs, because policy is the same for each; constant after svm_bitmaps_init, so they need no lock. */
static uint8_t *iopm, *msrpm;

bool svm_bitmaps_init(void)
{
	const struct msr_policy *rows;
	size_t count;

	iopm = page_alloc_contiguous(IOPM_PAGES);
	msrpm = page_alloc_contiguous(MSRPM_PAGES);
	if (!iopm || !msrpm)
		return false;
	rows = msr_policy_table(&count);
	memset(iopm, 0xff, IOPM_PAGES * PAGE_SIZE);
	svm_msrpm_build(msrpm, rows, count);
	return true;
}

void svm_bitmaps(uint64_t *iopm_pa, uint64_t *msrpm_pa)
{
	*iopm_pa = ptr_hpa(iopm).raw;
	*msrpm_pa = ptr_hpa(msrpm).raw;
}
