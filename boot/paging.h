/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The page tables the hypervisor starts with: memory at its own address in 2 MiB pages, the image of hv.elf at its
 * link address in 4 KiB pages, everything readable, writable and executable. hv builds its own soon after.
 *
 * Tables come from a pool that was allocated beforehand, because nothing can be allocated once the memory map is
 * final. paging_tables_needed says how large it must be.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct paging_pool {
	uint64_t *next;		/* zeroed pages; their address is their physical address */
	size_t pages_left;
};

/* Root of new tables, NULL when the pool is empty. */
uint64_t *paging_root(struct paging_pool *pool);
/* 2 MiB pages over start .. start + length at their own address. Stretches may share a page. */
bool paging_identity(struct paging_pool *pool, uint64_t *root, uint64_t start, uint64_t length);
/* 4 KiB pages: virt .. virt + length show phys. */
bool paging_map(struct paging_pool *pool, uint64_t *root, uint64_t virt, uint64_t phys,
		uint64_t length);
/* Is all of start .. start + length mapped by these tables, the firmware's for instance? Levels: 4 or 5. */
bool paging_covers(const uint64_t *root, unsigned levels, uint64_t start, uint64_t length);
/* At most this many tables for a number of separate identity stretches with this many bytes together, and one image. */
size_t paging_tables_needed(size_t stretches, uint64_t bytes, uint64_t image);
