/* SPDX-License-Identifier: MIT */
/*
 * Host-physical memory. Large pages (2 MiB) live in three places: extents never touched since boot, a list
 * of zeroed ones, a list of freed, dirty ones; the lists link through the pages themselves. Small pages
 * come from blocks (buddy.h): a large page, or an odd piece of memory at the edge of one. A large page
 * whose small pages have all been freed becomes a large page again, so memory does not fragment when a VM
 * is built and destroyed a thousand times.
 *
 * One lock guards all of it, buddy.c included. A page that is handed out is zeroed after the lock is dropped.
 *
 * Invariants: extents and list members are 2 MiB aligned; page.free counts every byte that could be handed
 * out. Pages are reached through the direct map, which start-up makes work before page_init.
 */
#include "hv/page.h"

#include <stdatomic.h>

#include "hv/buddy.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/log.h"

#define EXTENTS_MAX	(HANDOFF_REGIONS_MAX + 64U)
#define IDLE_PIECE	(4 * PAGE_SIZE)	/* zeroed at a time, ahead of need */

/* The first MiB is not managed here: firmware may write to it, and the other processors start in it (host/ap.c). */
#define LOW_MEMORY_END	(1ULL << 20)

struct large { struct large *next; };

struct extent { uint64_t start, end; };

static struct {
	struct lock   lock;
	struct extent extents[EXTENTS_MAX];
	size_t        extent_count;
	struct large *zeroed, *dirty;
	uint64_t      zeroed_bytes;
	struct large *idle;		/* the one that is being zeroed; in no list */
	uint64_t      idle_done;	/* bytes of it */
	uint64_t      free, free_large;
} page;

/* [start, start + pages) becomes a block for small pages. The caller has counted it as free. */
static void block_add(uint64_t start, uint64_t pages, size_t taken)
{
	buddy_add(start, pages, taken);
	page.free -= PAGE_SIZE;		/* the header */
}

/* An odd piece at the edge of a region; too small ones are dropped. */
static void give_piece(uint64_t start, uint64_t end)
{
	uint64_t pages = (end - start) / PAGE_SIZE;

	if (pages < BLOCK_MIN)
		return;
	page.free += pages * PAGE_SIZE;
	block_add(start, pages, 0);
}

/* Two neighbours that were given apart may hold a large page across their border: join what touches. */
static bool extent_join(uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < page.extent_count; i++) {
		struct extent *extent = &page.extents[i];

		if (extent->end == start)
			extent->end = end;
		else if (extent->start == end)
			extent->start = start;
		else
			continue;
		return true;
	}
	return false;
}

/* Whole large pages, as an extent. */
static void give_large(uint64_t start, uint64_t end)
{
	if (!extent_join(start, end)) {
		if (page.extent_count == EXTENTS_MAX) {
			log_warn("memory at %lx is left unused: too many regions", start);
			return;
		}
		page.extents[page.extent_count++] = (struct extent){ start, end };
	}
	page.free += end - start;
	page.free_large += end - start;
}

/* The lock is held. */
static void give(hpa_t start, uint64_t length)
{
	uint64_t first = max_u64(align_up(start.raw, PAGE_SIZE), LOW_MEMORY_END);
	uint64_t last = align_down(start.raw + length, PAGE_SIZE);
	uint64_t large_first = align_up(first, LARGE_SIZE), large_last = align_down(last, LARGE_SIZE);

	if (first >= last)
		return;
	if (large_first < large_last) {
		give_piece(first, large_first);
		give_large(large_first, large_last);
		give_piece(large_last, last);
	} else {
		/* No whole large page: one piece, or two when a 2 MiB border cuts it, for blocks respect them. */
		uint64_t cut = min_u64(large_first, last);

		give_piece(first, cut);
		give_piece(cut, last);
	}
}

void page_give(hpa_t start, uint64_t length)
{
	lock_take(&page.lock);
	give(start, length);
	lock_drop(&page.lock);
}

void page_init(const struct handoff *handoff)
{
	memset(&page, 0, sizeof(page));
	page.lock.rank = LOCK_PAGES;
	buddy_init();
	for (uint32_t i = 0; i < min_u64(handoff->region_count, HANDOFF_REGIONS_MAX); i++)
		if (handoff->regions[i].kind == REGION_FREE)
			page_give(hpa(handoff->regions[i].start), handoff->regions[i].length);
}

/* ---- Large pages ---- */

static struct large *list_pop(struct large **list)
{
	struct large *first = *list;

	if (first)
		*list = first->next;
	return first;
}

static void list_push(struct large **list, struct large *entry)
{
	entry->next = *list;
	*list = entry;
}

/* From the top end: low memory stays for those who need it. NULL when none is left. */
static struct large *extent_pop(void)
{
	while (page.extent_count > 0) {
		struct extent *extent = &page.extents[page.extent_count - 1];

		if (extent->start < extent->end) {
			extent->end -= LARGE_SIZE;
			return hpa_ptr(hpa(extent->end));
		}
		page.extent_count--;
	}
	return NULL;
}

/*
 * A large page whose contents may be anything. Dirty ones first, so that pages zeroed in idle time stay for
 * who needs them.
 */
static struct large *take_dirty(void)
{
	struct large *large = list_pop(&page.dirty);

	if (!large)
		large = extent_pop();
	if (!large) {
		large = page.idle;
		page.idle = NULL;
		page.idle_done = 0;
	}
	return large;
}

static struct large *take_zeroed(void)
{
	struct large *large = list_pop(&page.zeroed);

	if (!large)
		return NULL;
	page.zeroed_bytes -= LARGE_SIZE;
	large->next = NULL;	/* the list's link was the only word of the page that was not zero */
	return large;
}

hpa_t page_alloc_large(void)
{
	struct large *large;
	bool is_dirty = false;

	lock_take(&page.lock);
	large = take_zeroed();
	if (!large) {
		large = take_dirty();
		is_dirty = large;
	}
	if (large) {
		page.free -= LARGE_SIZE;
		page.free_large -= LARGE_SIZE;
	}
	lock_drop(&page.lock);
	if (is_dirty)
		memset(large, 0, LARGE_SIZE);
	return large ? ptr_hpa(large) : hpa(0);
}

void page_free_large(hpa_t addr)
{
	if (addr.raw == 0)
		return;
	lock_take(&page.lock);
	list_push(&page.dirty, hpa_ptr(addr));
	page.free += LARGE_SIZE;
	page.free_large += LARGE_SIZE;
	lock_drop(&page.lock);
}

/*
 * Zero a piece, a small one: interrupts are off meanwhile, a serial port holds 16 characters, and others wait
 * for the lock.
 */
static bool zero_piece(void)
{
	if (!page.idle)
		return false;
	memset((uint8_t *)page.idle + page.idle_done, 0, IDLE_PIECE);
	page.idle_done += IDLE_PIECE;
	if (page.idle_done < LARGE_SIZE)
		return true;
	list_push(&page.zeroed, page.idle);
	page.zeroed_bytes += LARGE_SIZE;
	page.idle = NULL;
	page.idle_done = 0;
	return true;
}

bool page_prepare(uint64_t bytes)
{
	bool did_something = false;

	lock_take(&page.lock);
	if (page.zeroed_bytes < bytes) {
		if (!page.idle)
			page.idle = take_dirty();
		did_something = zero_piece();
	}
	lock_drop(&page.lock);
	return did_something;
}

bool page_idle_work(void)
{
	/* One processor zeroes at a time. Else who wants a page would wait for a piece of each that is idle. */
	static atomic_flag is_taken = ATOMIC_FLAG_INIT;
	bool did_something;

	if (atomic_flag_test_and_set(&is_taken))
		return false;
	lock_take(&page.lock);
	if (!page.idle)
		page.idle = list_pop(&page.dirty);
	did_something = zero_piece();
	lock_drop(&page.lock);
	atomic_flag_clear(&is_taken);
	return did_something;
}

/* ---- Small pages ---- */

/* A large page becomes a block, and its first pages are handed out. */
static void *take_from_large(size_t pages)
{
	struct large *large = take_dirty();

	if (!large)
		large = take_zeroed();
	if (!large)
		return NULL;
	page.free_large -= LARGE_SIZE;
	block_add(ptr_hpa(large).raw, BLOCK_PAGES, pages);
	return (uint8_t *)large + PAGE_SIZE;
}

void *page_alloc_contiguous(size_t pages)
{
	void *start;

	if (pages == 0 || pages > BLOCK_PAGES)
		return NULL;
	if (pages == BLOCK_PAGES) {
		hpa_t large = page_alloc_large();

		return large.raw ? hpa_ptr(large) : NULL;
	}
	lock_take(&page.lock);
	start = buddy_take(pages);
	if (!start)
		start = take_from_large(pages);
	if (start)
		page.free -= pages * PAGE_SIZE;
	lock_drop(&page.lock);
	return start ? memset(start, 0, pages * PAGE_SIZE) : NULL;
}

void *page_alloc(void)
{
	return page_alloc_contiguous(1);
}

void page_free_contiguous(void *start, size_t pages)
{
	struct large *large;

	if (!start)
		return;
	if (pages == BLOCK_PAGES) {
		page_free_large(ptr_hpa(start));
		return;
	}
	lock_take(&page.lock);
	large = buddy_give(start, pages);
	page.free += pages * PAGE_SIZE;
	if (large) {
		page.free += PAGE_SIZE;
		page.free_large += LARGE_SIZE;
		list_push(&page.dirty, large);
	}
	lock_drop(&page.lock);
}

void page_free(void *start)
{
	page_free_contiguous(start, 1);
}

uint64_t page_free_bytes(void)
{
	return __atomic_load_n(&page.free, __ATOMIC_RELAXED);
}

uint64_t page_free_large_bytes(void)
{
	return __atomic_load_n(&page.free_large, __ATOMIC_RELAXED);
}
