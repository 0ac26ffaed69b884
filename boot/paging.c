/* SPDX-License-Identifier: MIT */
/*
 * Four-level page tables, SDM vol. 3, 4.5 "4-Level Paging and 5-Level Paging"; APM vol. 2, 5.3 "Long-Mode Page
 * Translation". Pure: it writes only into the pool.
 */
#include "boot/paging.h"

#include "arch/x86/hw/pte.h"

#define ENTRIES		512U
#define INDEX_BITS	9U
#define PAGE_BITS	12U
#define LEVEL_PT	0U	/* 4 KiB pages */
#define LEVEL_PD	1U	/* 2 MiB pages */
#define LEVEL_PML4	3U

#define SIZE_4K		(1ULL << PAGE_BITS)
#define SIZE_2M		(1ULL << (PAGE_BITS + INDEX_BITS))

static unsigned level_shift(unsigned level)
{
	return PAGE_BITS + INDEX_BITS * level;
}

static uint64_t *take(struct paging_pool *pool)
{
	uint64_t *table = pool->next;

	if (pool->pages_left == 0)
		return NULL;
	pool->pages_left--;
	pool->next += ENTRIES;
	return table;
}

uint64_t *paging_root(struct paging_pool *pool)
{
	return take(pool);
}

/* The entry for an address in a table of the given level, with the tables above it made on the way. */
static uint64_t *entry_for(struct paging_pool *pool, uint64_t *table, uint64_t virt, unsigned level)
{
	for (unsigned at = LEVEL_PML4; ; at--) {
		uint64_t *entry = &table[(virt >> level_shift(at)) % ENTRIES];

		if (at == level)
			return entry;
		if (!(*entry & PTE_P)) {
			uint64_t *below = take(pool);

			if (!below)
				return NULL;
			*entry = (uint64_t)(uintptr_t)below | PTE_P | PTE_W;
		}
		table = (uint64_t *)(uintptr_t)(*entry & PTE_ADDR);
	}
}

bool paging_identity(struct paging_pool *pool, uint64_t *root, uint64_t start, uint64_t length)
{
	for (uint64_t at = start & ~(SIZE_2M - 1); at < start + length; at += SIZE_2M) {
		uint64_t *entry = entry_for(pool, root, at, LEVEL_PD);

		if (!entry)
			return false;
		*entry = at | PTE_P | PTE_W | PTE_PS;
	}
	return true;
}

bool paging_map(struct paging_pool *pool, uint64_t *root, uint64_t virt, uint64_t phys,
		uint64_t length)
{
	for (uint64_t at = 0; at < length; at += SIZE_4K) {
		uint64_t *entry = entry_for(pool, root, virt + at, LEVEL_PT);

		if (!entry)
			return false;
		*entry = (phys + at) | PTE_P | PTE_W;
	}
	return true;
}

size_t paging_tables_needed(size_t stretches, uint64_t bytes, uint64_t image)
{
	/* A table of each level may be cut at both ends of a stretch; the image has its own path below the root. */
	const size_t cut = 2 * stretches;
	const uint64_t directories = (bytes >> level_shift(2)) + cut;
	const uint64_t pointers = (bytes >> level_shift(LEVEL_PML4)) + cut;
	const uint64_t image_tables = (image >> level_shift(LEVEL_PD)) + 2 * LEVEL_PML4;

	return (size_t)(1 + directories + pointers + image_tables);
}
