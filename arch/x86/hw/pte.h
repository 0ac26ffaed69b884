/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Page-table entries: SDM vol. 3, 4.5 "4-Level Paging and 5-Level Paging"; APM vol. 2, 5.3 "Long-Mode Page
 * Translation".
 */
#include "hv/lib/bits.h"

#define PTE_P		BIT(0)
#define PTE_W		BIT(1)
#define PTE_U		BIT(2)
#define PTE_PWT		BIT(3)
#define PTE_PCD		BIT(4)	/* alone: PAT entry 2, UC-: uncached unless an MTRR says write-combining */
#define PTE_A		BIT(5)
#define PTE_D		BIT(6)
#define PTE_PS		BIT(7)	/* a large page, at levels 2 and 3 */
#define PTE_G		BIT(8)
#define PTE_NX		BIT(63)
#define PTE_ADDR	FIELD(51, 12)

#define PT_LEVEL_BITS	9U
#define PT_ENTRIES	512U

/* How much one entry of a table at this level (1 = PT .. 5 = PML5) spans, as a shift. */
static inline unsigned pt_shift(unsigned level) { return 12 + PT_LEVEL_BITS * (level - 1); }
static inline uint64_t pt_span(unsigned level) { return 1ULL << pt_shift(level); }
static inline unsigned pt_index(uint64_t addr, unsigned level)
{
	return (unsigned)(addr >> pt_shift(level)) % PT_ENTRIES;
}
