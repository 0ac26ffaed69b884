/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A guest's number as the index of a table of ours. The branch that refuses a number beyond the end may be
 * predicted wrongly, and what the processor then reads in advance leaves traces in the caches (Spectre,
 * variant 1). So the index itself must be harmless whatever is predicted: arithmetic, which is not. No result
 * shows whether a place calls this: unit tests see it by their own header of this name.
 */
#include <stddef.h>

/*
 * index when it is below size, else any number below size. A size that is a known power of two is a mask by itself; for
 * others CMP sets the carry flag to "below" and SBB makes a mask of it. Assembly, because the compiler knows from the
 * branch before that the index is small, and would leave the arithmetic out.
 */
static inline size_t index_nospec(size_t index, size_t size)
{
	size_t mask;

	if (__builtin_constant_p(size) && size && !(size & (size - 1))) {
		__asm__ volatile("and %1, %0" : "+r"(index) : "re"(size - 1) : "cc");
		return index;
	}
	__asm__ volatile("cmp %2, %1\n\tsbb %0, %0" : "=r"(mask) : "r"(index), "re"(size) : "cc");
	return index & mask;
}
