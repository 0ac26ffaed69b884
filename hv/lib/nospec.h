/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A guest's number as the index of a table of ours. The branch that refuses a number beyond the end may be predicted
 * wrongly, and what the processor then reads in advance leaves traces in the caches (Spectre, variant 1). So the index
 * itself must be harmless whatever is predicted: arithmetic, which is not.
 */
#include <stddef.h>

/* index when it is below size, else 0: CMP sets the carry flag to "below", SBB makes a mask of it. */
static inline size_t index_nospec(size_t index, size_t size)
{
	size_t mask;

	__asm__ volatile("cmp %2, %1\n\tsbb %0, %0" : "=r"(mask) : "r"(index), "re"(size) : "cc");
	return index & mask;
}
