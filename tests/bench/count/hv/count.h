/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * hv/count.h for a build that counts. The sums are weak: every file that counts defines them, the linker
 * keeps one. One processor runs this build, so plain increments do.
 */
#define insn_count insn_count_none
#include_next "hv/count.h"
#undef insn_count

__attribute__((weak)) uint64_t insn_counts[COUNT_END];

static inline uint64_t insn_count(uint64_t which)
{
	return which < COUNT_END ? insn_counts[which] : 0;
}
