/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Runs of 4 KiB pages out of blocks: a large page, or an odd piece of memory at the edge of one. For
 * page.c, which counts what is free and zeroes what must be.
 *
 * Each call does a bounded number of steps, however many blocks there are. A guest decides how much is
 * allocated and freed here (the copies of its disks), so work that grew with what is in use would be a way
 * to take the processor.
 */
#include <stddef.h>
#include <stdint.h>

#include "hv/addr.h"

#define BLOCK_PAGES	(LARGE_SIZE / PAGE_SIZE)
#define BLOCK_MIN	2U	/* one page for the header, one to give */

void buddy_init(void);

/* A new block within one 2 MiB frame. Its first page is lost to the header; the next `taken` are handed out at once. */
void buddy_add(uint64_t start, uint64_t pages, size_t taken);

/* Not zeroed; NULL: no block has so many in a row. */
void *buddy_take(size_t pages);

/*
 * Give back what buddy_take or buddy_add handed out; anything else is a bug of the hypervisor, and a panic.
 * When all small pages of a large page have come back, it is no longer a block, and its address is
 * returned; else NULL.
 */
void *buddy_give(void *start, size_t pages);
