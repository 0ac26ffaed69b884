/* SPDX-License-Identifier: MIT */
/*
 * Host-physical memory. Large pages (2 MiB) of a node live in three places: extents never touched since boot, a list
 * of zeroed ones, a list of freed, dirty ones; the lists link through the pages themselves. Small pages
 * come from blocks (buddy.h): a large page, or an odd piece of memory at the edge of one. A large page
 * whose small pages have all been freed becomes a large page again, so memory does not fragment when a VM
 * is built and destroyed a thousand times.
 *
 * One lock guards all of it, buddy.c included. Nothing is zeroed while it is held: a page that is handed out
 * belongs to who asked. One that is zeroed ahead of need is in no list but in page.begun, of whichever node, and in no place at all
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

struct extent {
	uint64_t start, end;
	struct extent *next;	/* of its node */
};

/* The large pages of a node. */
struct pool {
	struct large  *zeroed, *dirty;
	uint64_t       zeroed_bytes;	/* written under the lock, as dirty and extents are; is_prepared reads them without */
	struct extent *extents;		/* none of them is empty */
};

static struct {
	struct lock   lock;
	struct extent extents[EXTENTS_MAX];
	size_t        extent_count;
	struct pool   pools[HANDOFF_NODES_MAX];
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

static struct pool *pool_of(uint64_t addr) { return &page.pools[node_of(hpa(addr))]; }

/* Neighbours that were given apart take one place, if they are of one node. */
static bool extent_join(uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < page.extent_count; i++) {
		struct extent *extent = &page.extents[i];

		if (extent->start == extent->end || pool_of(extent->start) != pool_of(start))
			continue;
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

/* Whole large pages of one node, as an extent. */
static void give_large(uint64_t start, uint64_t end)
{
	struct pool *pool = pool_of(start);
	struct extent *extent = &page.extents[page.extent_count];

	if (!extent_join(start, end)) {
		if (page.extent_count == EXTENTS_MAX) {
			log_warn("memory at %lx is left unused: too many regions", start);
			return;
		}
		page.extent_count++;
		*extent = (struct extent){ start, end, pool->extents };
		pool->extents = extent;
	}
	page.free += end - start;
	page.free_large += end - start;
}

/* Of one node. What is below LOW_MEMORY_END is not managed here: firmware may write to it (host/ap.c). The lock is held. */
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
	const uint64_t end = start.raw + length;

	lock_take(&page.lock);
	for (uint64_t at = start.raw, next; at < end; at = next) {
		next = min_u64(end, node_end(at));
		give(hpa(at), next - at);
	}
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

static const struct node_wish any_node;

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
static struct large *extent_pop(struct pool *pool)
{
	struct extent *extent = pool->extents;
	struct large *large;

	if (!extent)
		return NULL;
	extent->end -= LARGE_SIZE;
	if (extent->start == extent->end)
		pool->extents = extent->next;
	large = hpa_ptr(hpa(extent->end));
	large->done = 0;
	return large;
}

/*
 * A large page whose contents may be anything. Dirty ones first, so that pages zeroed in idle time stay for
 * who needs them.
 */
static struct large *take_dirty(struct pool *pool)
{
	struct large *large = list_pop(&pool->dirty);

	if (!large)
		large = extent_pop(pool);
	return large;
}

/* Of any node, and when none is left, one that somebody has begun to zero: it is free, and promised, like the others. */
static struct large *take_begun(void)
{
	struct large *large = begun_take();

	if (large)
		page.begun_count--;
	return large;
}

static struct large *take_zeroed(struct pool *pool)
{
	struct large *large = list_pop(&pool->zeroed);

	if (!large)
		return NULL;
	pool->zeroed_bytes -= LARGE_SIZE;
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

static void count_taken(void)
{
	page.free -= LARGE_SIZE;
	page.free_large -= LARGE_SIZE;
}

/* A page of a near node that has to be zeroed is better than a zeroed one of another: it is used for longer. */
static struct large *take_in_order(const struct node_wish *wish, bool *is_dirty)
{
	struct node_walk walk = node_walk(wish);
	struct large *large = NULL;
	unsigned node;

	while (!large && node_next(&walk, &node)) {
		large = take_zeroed(&page.pools[node]);
		*is_dirty = !large;
		if (!large)
			large = take_dirty(&page.pools[node]);
	}
	return large ? large : take_begun();
}

static struct large *take_large(const struct node_wish *wish, bool *is_dirty)
{
	struct large *large;

	lock_take(&page.lock);
	do
		large = take_in_order(wish, is_dirty);
	while (!large && wait_for_piece());
	if (large)
		count_taken();
	lock_drop(&page.lock);
	return large;
}

__attribute__((noinline)) static hpa_t alloc_in_order(const struct node_wish *wish)
{
	bool is_dirty;
	struct large *large = take_large(wish, &is_dirty);

	if (large && is_dirty)
		memset(large, 0, LARGE_SIZE);
	return large ? ptr_hpa(large) : hpa(0);
}

/* The first look is at what is zeroed where it is wished for: a first touch of guest memory is a price that we count. */
hpa_t page_alloc_large(const struct node_wish *wish)
{
	struct large *large;

	lock_take(&page.lock);
	large = take_zeroed(&page.pools[wish->first]);
	if (large)
		count_taken();
	lock_drop(&page.lock);
	return large ? ptr_hpa(large) : alloc_in_order(wish);
}

void page_free_large(hpa_t addr)
{
	if (addr.raw == 0)
		return;
	lock_take(&page.lock);
	list_push(&pool_of(addr.raw)->dirty, hpa_ptr(addr), 0);
	page.free += LARGE_SIZE;
	page.free_large += LARGE_SIZE;
	lock_drop(&page.lock);
}

/* What is to be zeroed ahead: so many bytes of what the wish gets first. */
struct demand {
	const struct node_wish *wish;
	uint64_t bytes;
};

typedef struct large *take_fn(const struct demand *demand);

static struct large *begin(take_fn *take, const struct demand *demand)
{
	struct large *large;

	lock_take(&page.lock);
	large = take(demand);
	if (large)
		page.begun_count++;
	lock_drop(&page.lock);
	return large;
}

static void finish(struct large *large, uint64_t done)
{
	struct pool *pool = pool_of(ptr_hpa(large).raw);

	lock_take(&page.lock);
	page.begun_count--;
	if (done < LARGE_SIZE) {
		list_push(&pool->dirty, large, done);
	} else {
		list_push(&pool->zeroed, large, 0);
		pool->zeroed_bytes += LARGE_SIZE;
	}
	lock_drop(&page.lock);
}

/*
 * Zero the next piece of a page that somebody has begun, else of one that `take` finds. Any number of processors may
 * be at it, each with a page of its own.
 */
static bool zero_piece(take_fn *take, const struct demand *demand)
{
	struct large *large = begun_take();
	uint64_t done;

	if (!large)
		large = begin(take, demand);
	if (!large)
		return false;
	done = large->done + IDLE_PIECE;
	memset((uint8_t *)large + done - IDLE_PIECE, 0, IDLE_PIECE);
	large->done = done;
	if (done == LARGE_SIZE || !begun_put(large))
		finish(large, done);
	return true;
}

/* If not, *next is the first node in the order of the wish that has a page to zero; NULL: none has. */
static bool is_prepared(const struct demand *demand, struct pool **next)
{
	struct node_walk walk = node_walk(demand->wish);
	uint64_t zeroed = 0;
	unsigned node;

	*next = NULL;
	while (!*next && node_next(&walk, &node)) {
		struct pool *pool = &page.pools[node];

		zeroed += __atomic_load_n(&pool->zeroed_bytes, __ATOMIC_RELAXED);
		if (zeroed >= demand->bytes)
			return true;
		if (__atomic_load_n(&pool->dirty, __ATOMIC_RELAXED) || __atomic_load_n(&pool->extents, __ATOMIC_RELAXED))
			*next = pool;
	}
	return false;
}

static struct large *take_wanted(const struct demand *demand)
{
	struct pool *pool;

	return is_prepared(demand, &pool) || !pool ? NULL : take_dirty(pool);
}

bool page_prepare(const struct node_wish *wish, uint64_t bytes)
{
	const struct demand demand = { wish, bytes };
	struct pool *next;

	return !is_prepared(&demand, &next) && zero_piece(take_wanted, &demand);
}

static struct large *take_freed(const struct demand *demand)
{
	struct node_walk walk = node_walk(demand->wish);
	struct large *large = NULL;
	unsigned node;

	while (!large && node_next(&walk, &node))
		large = list_pop(&page.pools[node].dirty);
	return large;
}

bool page_idle_work(void)
{
	return zero_piece(take_freed, &(struct demand){ &any_node, 0 });
}

/* ---- Small pages ---- */

static struct large *take_anywhere(struct large *(*take)(struct pool *pool))
{
	struct node_walk walk = node_walk(&any_node);
	struct large *large = NULL;
	unsigned node;

	while (!large && node_next(&walk, &node))
		large = take(&page.pools[node]);
	return large;
}

/* A large page becomes a block, and its first pages are handed out. */
static void *take_from_large(size_t pages)
{
	struct large *large = take_anywhere(take_dirty);

	if (!large)
		large = take_begun();
	if (!large)
		large = take_anywhere(take_zeroed);
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
		return take_large(&any_node, &is_dirty);
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
		hpa_t large = page_alloc_large(&any_node);

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
		list_push(&pool_of(ptr_hpa(large).raw)->dirty, large, 0);
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
