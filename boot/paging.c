/* SPDX-License-Identifier: MIT */
/*
 * Four-level page tables, SDM vol. 3, 4.5 "4-Level Paging and 5-Level Paging"; APM vol. 2, 5.3 "Long-Mode Page
 * Translation". Pure: it writes only into the pool.
 */
#include "boot/paging.h"

#include "arch/x86/hw/pte.h"

#define LEVEL_PT	1U	/* 4 KiB pages */
#define LEVEL_PD	2U	/* 2 MiB pages */
#define LEVEL_PDPT	3U	/* 1 GiB pages */
#define LEVEL_PML4	4U
#define LEVELS_BELOW_ROOT	(LEVEL_PML4 - LEVEL_PT)

static uint64_t *take(struct paging_pool *pool)
{
	uint64_t *table = pool->next;

	if (pool->pages_left == 0)
		return NULL;
	pool->pages_left--;
	pool->next += PT_ENTRIES;
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
		uint64_t *entry = &table[pt_index(virt, at)];

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
	for (uint64_t at = start & ~(pt_span(LEVEL_PD) - 1); at < start + length; at += pt_span(LEVEL_PD)) {
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
	for (uint64_t at = 0; at < length; at += pt_span(LEVEL_PT)) {
		uint64_t *entry = entry_for(pool, root, virt + at, LEVEL_PT);

		if (!entry)
			return false;
		*entry = (phys + at) | PTE_P | PTE_W;
	}
	return true;
}

/* The size of the page that an address is in; 0: of none. */
static uint64_t page_size_at(const uint64_t *table, unsigned levels, uint64_t addr)
{
	for (unsigned level = levels; ; level--) {
		const uint64_t entry = table[pt_index(addr, level)];

		if (!(entry & PTE_P))
			return 0;
		if (level == LEVEL_PT || (level <= LEVEL_PDPT && (entry & PTE_PS)))
			return pt_span(level);
		table = (const uint64_t *)(uintptr_t)(entry & PTE_ADDR);
	}
}

bool paging_covers(const uint64_t *root, unsigned levels, uint64_t start, uint64_t length)
{
	const uint64_t half = pt_span(levels + 1) / 2;	/* above it addresses are negative: no identity there */
	uint64_t at = start;

	if (start >= half || length > half - start)
		return false;
	while (at < start + length) {
		const uint64_t size = page_size_at(root, levels, at);

		if (!size)
			return false;
		at = (at & ~(size - 1)) + size;
	}
	return true;
}

size_t paging_tables_needed(size_t stretches, uint64_t bytes, uint64_t image)
{
	/* A table of each level may be cut at both ends of a stretch; the image has its own path below the root. */
	const size_t cut = 2 * stretches;
	const uint64_t directories = (bytes >> pt_shift(LEVEL_PDPT)) + cut;
	const uint64_t pointers = (bytes >> pt_shift(LEVEL_PML4)) + cut;
	const uint64_t image_tables = (image >> pt_shift(LEVEL_PD)) + 2 * LEVELS_BELOW_ROOT;

	return (size_t)(1 + directories + pointers + image_tables);
}
