/* SPDX-License-Identifier: MIT */
#pragma once
/* Memory types as MTRRs and the PAT hold them, a byte each: SDM vol. 3, tables 12-8 and 12-10; APM vol. 2, 7.8.1. */
#include "hv/lib/bits.h"

#define MEMTYPE_UC		0U
#define MEMTYPE_WB		6U
#define MEMTYPE_COUNT		8U
#define MTRR_TYPES_VALID	(BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6))	/* UC WC WT WP WB */
#define PAT_TYPES_VALID		(MTRR_TYPES_VALID | BIT(7))			/* and UC- */

/* Are all eight bytes memory types of the set? */
static inline bool memtypes_are_valid(uint64_t val, uint64_t valid)
{
	for (unsigned i = 0; i < sizeof(val); i++, val >>= 8)
		if ((val & 0xff) >= MEMTYPE_COUNT || !(valid & BIT(val & 0xff)))
			return false;
	return true;
}

static inline bool pat_is_valid(uint64_t pat) { return memtypes_are_valid(pat, PAT_TYPES_VALID); }
