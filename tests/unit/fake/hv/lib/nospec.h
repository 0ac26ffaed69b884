/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The product's index_nospec, which also notes what it was asked. Without that no test could tell a place that calls it
 * from one that does not: what it keeps from happening is seen in no result.
 */
#include <stdbool.h>

#define index_nospec index_nospec_itself
#include "../../../../../hv/lib/nospec.h"
#undef index_nospec

#define NOSPEC_CALLS 512U

struct nospec_fake { struct { size_t index, size; } calls[NOSPEC_CALLS]; unsigned count; };

/* One in each test, whichever of its files include this; and in each thread, for tests/race. */
__attribute__((weak)) _Thread_local struct nospec_fake nospec_fake;

static inline size_t index_nospec(size_t index, size_t size)
{
	const unsigned at = nospec_fake.count++ % NOSPEC_CALLS;

	nospec_fake.calls[at].index = index;
	nospec_fake.calls[at].size = size;
	return index_nospec_itself(index, size);
}

/* Was this index made harmless since the last question? */
static inline bool nospec_took(size_t index, size_t size)
{
	bool has = false;

	for (unsigned i = 0; i < nospec_fake.count && i < NOSPEC_CALLS; i++)
		has |= nospec_fake.calls[i].index == index && nospec_fake.calls[i].size == size;
	nospec_fake.count = 0;
	return has;
}
