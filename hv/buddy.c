/* SPDX-License-Identifier: MIT */
/*
 * Small pages (contract in buddy.h), by the buddy system: free pages form chunks of 2^order pages, aligned
 * to their size within their 2 MiB frame, on one list for each order. A chunk is split to serve a smaller
 * request; a freed one joins its buddy, the other half of the next larger chunk, if that is free. Requests
 * need not be powers of two: the rest of a chunk is freed again at once.
 *
 * A free chunk holds its own links. The header of its block says at which pages free chunks begin. The
 * header is the first page of the block: of a large page, that is where the frame begins. Odd pieces may
 * begin anywhere, so they are also in a hash table by frame. Their pages are used first, for they can never
 * serve a guest.
 */
#include "hv/buddy.h"

#include <stdbool.h>

#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/panic.h"

#define ORDERS		9U	/* 1 to 256 pages: more than that is never free in a block, which has a header */
#define NO_CHUNK	0xffU
#define BUCKETS		64U
#define BLOCK_MAGIC	0x6b636f6c62656761ULL

struct chunk { struct chunk *next, **link; };	/* link: the pointer that points at this chunk */

struct block {
	uint64_t      magic;
	struct block *next;		/* in its bucket */
	uint32_t      first, end;	/* pages of the frame, this header included */
	uint32_t      free_count;
	uint8_t       order[BLOCK_PAGES];	/* of the free chunk that begins at a page of the frame, or NO_CHUNK */
};
_Static_assert(sizeof(struct block) <= PAGE_SIZE, "the header is one page");

static struct {
	struct chunk *odd[ORDERS], *whole[ORDERS];	/* free chunks, of odd pieces and of large pages */
	struct block *buckets[BUCKETS];			/* odd pieces */
	uint64_t      lowest, highest;			/* all blocks lie there */
} buddy;

void buddy_init(void)
{
	memset(&buddy, 0, sizeof(buddy));
	buddy.lowest = UINT64_MAX;
}

/* ---- Blocks ---- */

static uint64_t frame_of(uint64_t addr) { return align_down(addr, LARGE_SIZE); }
static uint64_t block_frame(const struct block *block) { return frame_of(ptr_hpa(block).raw); }
static bool is_whole(const struct block *block) { return block->end - block->first == BLOCK_PAGES; }
static struct block **bucket_of(uint64_t addr) { return &buddy.buckets[addr / LARGE_SIZE % BUCKETS]; }

static uint32_t page_index(uint64_t addr) { return (uint32_t)(addr % LARGE_SIZE / PAGE_SIZE); }

static bool holds(const struct block *block, uint64_t addr)
{
	return block_frame(block) == frame_of(addr) && page_index(addr) > block->first && page_index(addr) < block->end;
}

/* The block that a page belongs to, or NULL. */
static struct block *block_of(uint64_t addr)
{
	struct block *block = *bucket_of(addr);

	if (addr < buddy.lowest || addr >= buddy.highest)
		return NULL;
	while (block && !holds(block, addr))
		block = block->next;
	if (!block)
		block = hpa_ptr(hpa(frame_of(addr)));
	return block->magic == BLOCK_MAGIC && holds(block, addr) ? block : NULL;
}

/* ---- Free chunks ---- */

static struct chunk *chunk_at(const struct block *block, uint32_t index)
{
	return hpa_ptr(hpa(block_frame(block) + index * PAGE_SIZE));
}

static void chunk_link(struct block *block, uint32_t index, unsigned order)
{
	struct chunk **list = is_whole(block) ? &buddy.whole[order] : &buddy.odd[order];
	struct chunk *chunk = chunk_at(block, index);

	*chunk = (struct chunk){ .next = *list, .link = list };
	if (chunk->next)
		chunk->next->link = &chunk->next;
	*list = chunk;
	block->order[index] = (uint8_t)order;
}

static void chunk_unlink(struct block *block, uint32_t index)
{
	const struct chunk *chunk = chunk_at(block, index);

	*chunk->link = chunk->next;
	if (chunk->next)
		chunk->next->link = chunk->link;
	block->order[index] = NO_CHUNK;
}

/* Free one chunk. If its buddy is free the two become one chunk of the next order, and so on. */
static void chunk_free(struct block *block, uint32_t index, unsigned order)
{
	while (order + 1 < ORDERS && block->order[index ^ (1U << order)] == order) {
		chunk_unlink(block, index ^ (1U << order));
		index &= ~(1U << order);
		order++;
	}
	chunk_link(block, index, order);
}

static bool is_free(const struct block *block, uint32_t index)
{
	for (unsigned order = 0; order < ORDERS; order++)
		if (block->order[index & ~((1U << order) - 1)] == order)
			return true;
	return false;
}

/* Free a run of pages as a few chunks: each the largest that may begin where the one before it ended. */
static void run_free(struct block *block, uint32_t index, size_t pages)
{
	block->free_count += (uint32_t)pages;
	while (pages > 0) {
		unsigned order = 0;

		if (is_free(block, index))
			panic("page_free: %p is free already", (void *)chunk_at(block, index));
		while (order + 1 < ORDERS && index % (2U << order) == 0 && (2U << order) <= pages)
			order++;
		chunk_free(block, index, order);
		index += 1U << order;
		pages -= 1U << order;
	}
}

/* ---- What page.c asks for ---- */

void buddy_add(uint64_t start, uint64_t pages, size_t taken)
{
	struct block *block = hpa_ptr(hpa(start));

	*block = (struct block){ .magic = BLOCK_MAGIC, .first = page_index(start) };
	block->end = block->first + (uint32_t)pages;
	memset(block->order, NO_CHUNK, sizeof(block->order));
	buddy.lowest = min_u64(buddy.lowest, start);
	buddy.highest = max_u64(buddy.highest, start + pages * PAGE_SIZE);
	if (!is_whole(block)) {
		block->next = *bucket_of(start);
		*bucket_of(start) = block;
	}
	run_free(block, block->first + 1 + (uint32_t)taken, pages - 1 - taken);
}

static void *take_from(struct chunk *const *lists, size_t pages)
{
	for (unsigned order = 0; order < ORDERS; order++) {
		struct block *block;
		uint32_t index;

		if ((1U << order) < pages || !lists[order])
			continue;
		block = block_of(ptr_hpa(lists[order]).raw);
		index = page_index(ptr_hpa(lists[order]).raw);
		chunk_unlink(block, index);
		block->free_count -= 1U << order;
		run_free(block, index + (uint32_t)pages, (1U << order) - pages);
		return chunk_at(block, index);
	}
	return NULL;
}

void *buddy_take(size_t pages)
{
	void *start = take_from(buddy.odd, pages);

	return start ? start : take_from(buddy.whole, pages);
}

void *buddy_give(void *start, size_t pages)
{
	uint64_t addr = ptr_hpa(start).raw;
	struct block *block = block_of(addr);

	if (!block || page_index(addr) + pages > block->end)
		panic("page_free: %p was never handed out", start);
	run_free(block, page_index(addr), pages);
	if (block->free_count < BLOCK_PAGES - 1)
		return NULL;
	for (unsigned order = 0; order < ORDERS; order++)
		chunk_unlink(block, 1U << order);
	block->magic = 0;
	return block;
}
