/* SPDX-License-Identifier: MIT */
#pragma once
/* Memory of the host as that of a machine, for tests of hv/page.c. The test's own includes come first. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "hv/lib/util.h"
#include "hv/page.h"

#define ARENA		(32 * LARGE_SIZE)

static const struct node_wish any_node;

/* Everything dirty: an allocator that forgets to zero is found out. */
static inline uint64_t arena(void)
{
	static uint8_t *memory;

	if (!memory) {
		memory = mmap(NULL, ARENA + LARGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(memory, MAP_FAILED);
	}
	memset(memory, 0xcc, ARENA + LARGE_SIZE);
	return align_up((uint64_t)(uintptr_t)memory, LARGE_SIZE);
}

/* A machine with one free region of the arena; returns its start. */
static inline uint64_t boot(uint64_t offset, uint64_t length)
{
	static struct handoff handoff;
	uint64_t base = arena();

	memset(&handoff, 0, sizeof(handoff));
	handoff.region_count = 2;
	handoff.regions[0] = (struct handoff_region){ base + offset, length, REGION_FREE, 0 };
	handoff.regions[1] = (struct handoff_region){ base, offset, REGION_RESERVED, 0 };
	handoff.regions[2] = (struct handoff_region){ base, ARENA, REGION_FREE, 0 };	/* behind the last */
	page_init(&handoff);
	return base + offset;
}

static inline void check_zero(const void *page, uint64_t len)
{
	static const uint8_t zeros[LARGE_SIZE];

	assert_int_equal(memcmp(page, zeros, len), 0);
}

static inline void *large_ptr(hpa_t page)
{
	assert_int_equal(page.raw % LARGE_SIZE, 0);
	return hpa_ptr(page);
}

/* How many pieces it takes. */
static inline uint64_t prepare(uint64_t bytes)
{
	uint64_t pieces = 0;

	while (page_prepare(&any_node, bytes))
		pieces++;
	return pieces;
}
