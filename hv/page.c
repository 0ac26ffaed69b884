/* SPDX-License-Identifier: MIT */
/*
 * Host-physical memory. Large pages (2 MiB) live in three places: extents never touched since boot, a list
 * of zeroed ones, a list of freed, dirty ones; the lists link through the pages themselves. Small pages
 * come from blocks (buddy.h): a large page, or an odd piece of memory at the edge of one. A large page
 * whose small pages have all been freed becomes a large page again, so memory does not fragment when a VM
 * is built and destroyed a thousand times.
 *
 * One lock guards all of it, buddy.c included. Nothing is zeroed while it is held: a page that is handed out
 * belongs to who asked. One that is zeroed ahead of need is in no list but in page.begun, and in no place at all
 * while a processor zeroes a piece of it. So the lock is taken twice for 2 MiB and not for each piece: where an
 * emulator runs the processors in turn, who waits for a lock may wait as long as their turns are.
 *
 * Invariants: extents and list members are 2 MiB aligned; page.free counts every byte that could be handed
 * out, also of pages that are begun. Pages are reached through the direct map, which start-up makes work before
 * page_init.
 */
#include "hv/page.h"

#include <stdatomic.h>

#include "hv/buddy.h"
#include "hv/lib/pc.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/log.h"

#define EXTENTS_MAX	(HANDOFF_REGIONS_MAX + 64U)
/* Zeroed at a time, ahead of need. Small: interrupts are off meanwhile, and a serial port holds 16 characters. */
#define IDLE_PIECE	(4 * PAGE_SIZE)

#define BEGUN_MAX	8U	/* when more are begun at once, one more goes back to its list after each piece */

/* The first words of a page in a list. */
struct large {
	struct large *next;
	uint64_t      done;	/* of a dirty page: so many bytes from its start are zero, but for these words */
};

struct extent { uint64_t start, end; };

static struct {
	struct lock   lock;
	struct extent extents[EXTENTS_MAX];
	size_t        extent_count;
	struct large *zeroed, *dirty;
	uint64_t      zeroed_bytes;	/* written under the lock; page_prepare reads it without */
	_Atomic(struct large *) begun[BEGUN_MAX];	/* between two pieces; who takes one out has it alone */
	unsigned      begun_count;	/* those, and those of which a piece is being zeroed now */
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

/* Neighbours that were given apart take one place. */
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

/* What is below LOW_MEMORY_END is not managed here: firmware may write to it (host/ap.c). The lock is held. */
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

static struct large *begun_take(void)
{
	for (size_t i = 0; i < BEGUN_MAX; i++) {
		struct large *large = page.begun[i] ? atomic_exchange(&page.begun[i], NULL) : NULL;

		if (large)
			return large;
	}
	return NULL;
}

static bool begun_put(struct large *large)
{
	for (size_t i = 0; i < BEGUN_MAX; i++) {
		struct large *none = NULL;

		if (atomic_compare_exchange_strong(&page.begun[i], &none, large))
			return true;
	}
	return false;
}

static void list_push(struct large **list, struct large *entry, uint64_t done)
{
	*entry = (struct large){ *list, done };
	*list = entry;
}

/* From the top end: low memory stays for those who need it. NULL when none is left. */
static struct large *extent_pop(void)
{
	while (page.extent_count > 0) {
		struct extent *extent = &page.extents[page.extent_count - 1];

		if (extent->start < extent->end) {
			struct large *large;

			extent->end -= LARGE_SIZE;
			large = hpa_ptr(hpa(extent->end));
			large->done = 0;
			return large;
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
	return large;
}

/* The same, and when none is left, one that somebody has begun to zero: it is free, and promised, like the others. */
static struct large *take_any(void)
{
	struct large *large = take_dirty();

	if (!large) {
		large = begun_take();
		if (large)
			page.begun_count--;
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

/*
 * Nobody has a page to give. Others may be zeroing a piece of the last ones: false when nobody is, else look again.
 * That ends: a page comes back after each piece, and is not taken again when all its pieces are done.
 */
static bool wait_for_piece(void)
{
	if (page.begun_count == 0)
		return false;
	lock_drop(&page.lock);
	__builtin_ia32_pause();
	lock_take(&page.lock);
	return true;
}

/* Inline: a first touch of guest memory is a price that we count. */
static inline __attribute__((always_inline)) struct large *take_large(bool *is_dirty)
{
	struct large *large;

	lock_take(&page.lock);
	do {
		large = take_zeroed();
		*is_dirty = !large;
		if (!large)
			large = take_any();
	} while (!large && wait_for_piece());
	if (large) {
		page.free -= LARGE_SIZE;
		page.free_large -= LARGE_SIZE;
	}
	lock_drop(&page.lock);
	return large;
}

hpa_t page_alloc_large(void)
{
	bool is_dirty;
	struct large *large = take_large(&is_dirty);

	if (large && is_dirty)
		memset(large, 0, LARGE_SIZE);
	return large ? ptr_hpa(large) : hpa(0);
}

void page_free_large(hpa_t addr)
{
	if (addr.raw == 0)
		return;
	lock_take(&page.lock);
	list_push(&page.dirty, hpa_ptr(addr), 0);
	page.free += LARGE_SIZE;
	page.free_large += LARGE_SIZE;
	lock_drop(&page.lock);
}

static struct large *begin(struct large *(*take)(void))
{
	struct large *large;

	lock_take(&page.lock);
	large = take();
	if (large)
		page.begun_count++;
	lock_drop(&page.lock);
	return large;
}

static void finish(struct large *large, uint64_t done)
{
	lock_take(&page.lock);
	page.begun_count--;
	if (done < LARGE_SIZE) {
		list_push(&page.dirty, large, done);
	} else {
		list_push(&page.zeroed, large, 0);
		page.zeroed_bytes += LARGE_SIZE;
	}
	lock_drop(&page.lock);
}

/*
 * Zero the next piece of a page that somebody has begun, else of one that `take` finds. Any number of processors may
 * be at it, each with a page of its own.
 */
static bool zero_piece(struct large *(*take)(void))
{
	struct large *large = begun_take();
	uint64_t done;

	if (!large)
		large = begin(take);
	if (!large)
		return false;
	done = large->done + IDLE_PIECE;
	memset((uint8_t *)large + done - IDLE_PIECE, 0, IDLE_PIECE);
	large->done = done;
	if (done == LARGE_SIZE || !begun_put(large))
		finish(large, done);
	return true;
}

bool page_prepare(uint64_t bytes)
{
	return __atomic_load_n(&page.zeroed_bytes, __ATOMIC_RELAXED) < bytes && zero_piece(take_dirty);
}

static struct large *take_freed(void)
{
	return list_pop(&page.dirty);
}

bool page_idle_work(void)
{
	return zero_piece(take_freed);
}

/* ---- Small pages ---- */

/* A large page becomes a block, and its first pages are handed out. */
static void *take_from_large(size_t pages)
{
	struct large *large = take_any();

	if (!large)
		large = take_zeroed();
	if (!large)
		return NULL;
	page.free_large -= LARGE_SIZE;
	block_add(ptr_hpa(large).raw, BLOCK_PAGES, pages);
	return (uint8_t *)large + PAGE_SIZE;
}

void *page_take_contiguous(size_t pages)
{
	bool is_dirty;
	void *start;

	if (pages == 0 || pages > BLOCK_PAGES)
		return NULL;
	if (pages == BLOCK_PAGES)
		return take_large(&is_dirty);
	lock_take(&page.lock);
	do {
		start = buddy_take(pages);
		if (!start)
			start = take_from_large(pages);
	} while (!start && wait_for_piece());
	if (start)
		page.free -= pages * PAGE_SIZE;
	lock_drop(&page.lock);
	return start;
}

void *page_alloc_contiguous(size_t pages)
{
	void *start;

	if (pages == BLOCK_PAGES) {
		hpa_t large = page_alloc_large();

		return large.raw ? hpa_ptr(large) : NULL;
	}
	start = page_take_contiguous(pages);
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
		list_push(&page.dirty, large, 0);
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
