/* SPDX-License-Identifier: MIT */
/*
 * hv/page.c on memory of the host: everything handed out is zero, inside a free region, and nobody else's;
 * everything comes back; a page freed twice is our bug and panics.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/page.h"
#include "hv/lib/util.h"
#include "hv/panic.h"

#define ARENA		(32 * LARGE_SIZE)
#define SMALL_MAX	20000U

static jmp_buf panicked;

void panic(const char *fmt, ...)
{
	(void)fmt;
	longjmp(panicked, 1);
}

/* Everything dirty: an allocator that forgets to zero is found out. */
static uint64_t arena(void)
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
static uint64_t boot(uint64_t offset, uint64_t length)
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

static void check_zero(const void *page, uint64_t len)
{
	static const uint8_t zeros[LARGE_SIZE];

	assert_int_equal(memcmp(page, zeros, len), 0);
}

static void *large_ptr(hpa_t page)
{
	assert_int_equal(page.raw % LARGE_SIZE, 0);
	return hpa_ptr(page);
}

/* Take all small pages, writing into each; all different, all within; then give them back. */
static size_t take_all(uint64_t start, uint64_t length)
{
	static uint64_t *pages[SMALL_MAX];
	size_t count = 0;

	while (count < SMALL_MAX && (pages[count] = page_alloc()) != NULL) {
		uint64_t addr = ptr_hpa(pages[count]).raw;

		assert_int_equal(addr % PAGE_SIZE, 0);
		assert_true(addr >= start && addr + PAGE_SIZE <= start + length);
		check_zero(pages[count], PAGE_SIZE);
		memset(pages[count], 0xaa, PAGE_SIZE);
		*pages[count] = count;
		count++;
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(*pages[i], i);		/* nobody else wrote here */
	for (size_t i = 0; i < count; i++)
		page_free(pages[i]);
	return count;
}

static void test_small(void **state)
{
	/* offset, length in pages, small pages that must come of it */
	static const struct { uint64_t offset, length; size_t expect; } rows[] = {
		{ 0, 512, 511 }, { 0, 1024, 1022 }, { 1, 511, 510 }, { 5, 2, 1 }, { 5, 1, 0 }, { 0, 0, 0 },
		{ 510, 4, 2 }, { 511, 2, 0 }, { 256, 1024, 255 + 511 + 255 }, { 3, 2000, 508 + 2 * 511 + 466 },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t length = rows[i].length * PAGE_SIZE;
		uint64_t start = boot(rows[i].offset * PAGE_SIZE, length), before = page_free_bytes();

		assert_true(before <= length);
		assert_int_equal(take_all(start, length), rows[i].expect);
		assert_int_equal(page_free_bytes(), before);
		assert_int_equal(take_all(start, length), rows[i].expect);
		assert_int_equal(page_free_bytes(), before);
	}
}

/* Partial pages at the ends of a region are dropped. */
static void test_unaligned_region(void **state)
{
	uint64_t start = boot(100, 3 * PAGE_SIZE);

	(void)state;
	assert_int_equal(page_free_bytes(), PAGE_SIZE);		/* of two; the other is for the books */
	assert_int_equal(take_all(start, 3 * PAGE_SIZE), 1);
}

static void test_large(void **state)
{
	hpa_t pages[8];
	uint64_t start = boot(PAGE_SIZE, 9 * LARGE_SIZE), before = page_free_bytes();

	(void)state;
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; row_of(pages, i); i++) {
			pages[i] = page_alloc_large();
			assert_true(pages[i].raw >= start && pages[i].raw + LARGE_SIZE <= start + 9 * LARGE_SIZE);
			check_zero(large_ptr(pages[i]), LARGE_SIZE);
			memset(large_ptr(pages[i]), (int)i + 1, LARGE_SIZE);
		}
		assert_int_equal(page_alloc_large().raw, 0);
		assert_int_equal(page_free_bytes(), before - 8 * LARGE_SIZE);
		for (size_t i = 0; row_of(pages, i); i++) {
			assert_int_equal(*(uint8_t *)large_ptr(pages[i]), i + 1);
			page_free_large(pages[i]);
		}
		assert_int_equal(page_free_bytes(), before);
	}
	page_free_large(hpa(0));
	assert_int_equal(page_free_bytes(), before);
}

/* How many pieces it takes. */
static uint64_t prepare(uint64_t bytes)
{
	uint64_t pieces = 0;

	while (page_prepare(bytes))
		pieces++;
	return pieces;
}

/* Zeroed ahead or not: what comes out is the same. */
static void test_prepare(void **state)
{
	hpa_t pages[4];

	(void)state;
	(void)boot(0, 4 * LARGE_SIZE);
	assert_false(page_idle_work());
	assert_int_equal(prepare(3 * LARGE_SIZE), 3 * LARGE_SIZE / (4 * PAGE_SIZE));
	assert_false(page_prepare(3 * LARGE_SIZE));
	for (size_t i = 0; i < countof(pages); i++) {
		pages[i] = page_alloc_large();
		check_zero(large_ptr(pages[i]), LARGE_SIZE);
		memset(large_ptr(pages[i]), 0x55, LARGE_SIZE);
	}
	for (size_t i = 0; i < countof(pages); i++)
		page_free_large(pages[i]);
	assert_true(page_idle_work());
	assert_true(page_idle_work());
	assert_in_range(prepare(100 * LARGE_SIZE), 1, 4 * LARGE_SIZE / (4 * PAGE_SIZE));	/* more than there is */
	assert_false(page_idle_work());
	for (size_t i = 0; i < countof(pages); i++)
		check_zero(large_ptr(page_alloc_large()), LARGE_SIZE);
}

#define MARK	PAGE_SIZE	/* behind the words of a list */

/* A page that was zeroed ahead is not zeroed again, and no longer counts as one when it is handed out. */
static void test_zeroed_once(void **state)
{
	uint8_t *top = hpa_ptr(hpa(boot(0, 2 * LARGE_SIZE) + LARGE_SIZE));

	(void)state;
	assert_int_equal(prepare(LARGE_SIZE), LARGE_SIZE / (4 * PAGE_SIZE));
	check_zero(top + MARK, LARGE_SIZE - MARK);
	top[MARK] = 0x5a;
	assert_ptr_equal(large_ptr(page_alloc_large()), top);
	assert_int_equal(top[MARK], 0x5a);
	top[MARK] = 0;
	check_zero(top, LARGE_SIZE);
	assert_int_equal(prepare(LARGE_SIZE), LARGE_SIZE / (4 * PAGE_SIZE));
}

/* ---- Other processors, in the middle of a piece ---- */

static uint8_t *touched;
static void (*meanwhile)(void);

static void at_touch(int signal)
{
	void (*what)(void) = meanwhile;

	(void)signal;
	if (!what)
		abort();
	meanwhile = NULL;
	assert_int_equal(mprotect(touched, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	what();
}

/* Idle time zeroes a piece of this page, and `what` happens when it writes there. */
static void idle_work_and(uint64_t start, void (*what)(void))
{
	struct sigaction before, action = { .sa_handler = at_touch, .sa_flags = SA_NODEFER };

	meanwhile = what;
	touched = hpa_ptr(hpa(start + PAGE_SIZE));
	assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
	assert_int_equal(mprotect(touched, PAGE_SIZE, PROT_NONE), 0);
	assert_true(page_idle_work());
	assert_null(meanwhile);
	assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
}

/* Large pages that were used, so that idle time has work. The one at `start` is its first. */
static uint64_t boot_dirty(size_t larges)
{
	uint64_t start = boot(0, larges * LARGE_SIZE);

	for (size_t i = 0; i < larges; i++)
		(void)page_alloc_large();
	for (size_t i = larges; i-- > 0;) {
		memset(hpa_ptr(hpa(start + i * LARGE_SIZE)), 0xcc, LARGE_SIZE);
		page_free_large(hpa(start + i * LARGE_SIZE));
	}
	return start;
}

static uint64_t first;

/* The page is free, but nobody else's to take or to zero; the lock is not held. */
static void use_the_others(void)
{
	hpa_t large;

	alarm(60);	/* for who waits here waits for ever */
	assert_int_equal(page_free_bytes(), 3 * LARGE_SIZE);
	assert_true(page_idle_work());
	assert_true(page_prepare(3 * LARGE_SIZE));
	while (page_idle_work() || page_prepare(3 * LARGE_SIZE))
		continue;
	large = page_alloc_large();
	assert_true(large.raw > first);
	page_free_large(large);
	assert_int_equal(page_free_bytes(), 3 * LARGE_SIZE);
	alarm(0);
}

static void test_meanwhile(void **state)
{
	(void)state;
	first = boot_dirty(3);
	idle_work_and(first, use_the_others);
	for (size_t i = 0; i < 3; i++)
		check_zero(large_ptr(page_alloc_large()), LARGE_SIZE);
	assert_int_equal(page_alloc_large().raw, 0);
}

#define APART		8U	/* so many pages that are begun does page.c keep apart from its list */
#define AT_ONCE		11U	/* and these are more */

static size_t depth;

static void idle_work_more(void)
{
	if (++depth < AT_ONCE)
		idle_work_and(first + depth * LARGE_SIZE, idle_work_more);
}

/* However many processors zero at once: each has another page, and none is lost. */
static void test_many_at_once(void **state)
{
	(void)state;
	first = boot_dirty(AT_ONCE);
	depth = 0;
	idle_work_and(first, idle_work_more);
	assert_int_equal(depth, AT_ONCE);
	for (size_t i = 0; i < AT_ONCE; i++) {
		const size_t listed = AT_ONCE - APART;
		hpa_t large = page_alloc_large();

		/* Those in the list go first. The one that was begun last was put back first. */
		assert_int_equal((large.raw - first) / LARGE_SIZE, i < listed ? i : AT_ONCE - 1 - (i - listed));
		check_zero(large_ptr(large), LARGE_SIZE);
	}
	assert_int_equal(page_alloc_large().raw, 0);
	assert_int_equal(page_free_bytes(), 0);
	first = boot_dirty(AT_ONCE);
	depth = 0;
	idle_work_and(first, idle_work_more);
	assert_int_equal(prepare(AT_ONCE * LARGE_SIZE), AT_ONCE * (LARGE_SIZE / (4 * PAGE_SIZE) - 1));
}

static size_t wanted;		/* pages */
static struct taker { pthread_t thread; void *page; _Atomic bool is_done; } takers[2];

static void *take(void *ctx)
{
	struct taker *self = ctx;

	self->page = page_alloc_contiguous(wanted);
	self->is_done = true;
	return NULL;
}

static void start_takers(void)
{
	for (size_t i = 0; row_of(takers, i); i++) {
		takers[i].is_done = false;
		assert_int_equal(pthread_create(&takers[i].thread, NULL, take, &takers[i]), 0);
	}
	usleep(20000);
	for (size_t i = 0; row_of(takers, i); i++)
		assert_false(takers[i].is_done);
}

/* Two processors want the last page while a third one zeroes a piece of it: they wait, and get as much as there is. */
static void test_last(void **state)
{
	static const struct { size_t wanted, got; } rows[] = { { 512, 1 }, { 300, 1 }, { 3, 2 }, { 1, 2 } };

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		size_t got = 0;

		wanted = rows[i].wanted;
		idle_work_and(boot_dirty(1), start_takers);
		for (size_t n = 0; n < countof(takers); n++) {
			assert_int_equal(pthread_join(takers[n].thread, NULL), 0);
			if (!takers[n].page)
				continue;
			check_zero(takers[n].page, wanted * PAGE_SIZE);
			got++;
		}
		assert_int_equal(got, rows[i].got);
		assert_true(got == 1 || takers[0].page != takers[1].page);
	}
}

static void test_contiguous(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 64, 510, 511, 512 };
	uint64_t start = boot(0, 4 * LARGE_SIZE), before = page_free_bytes();

	(void)state;
	assert_null(page_alloc_contiguous(0));
	assert_null(page_alloc_contiguous(513));
	assert_null(page_take_contiguous(513));
	for (size_t i = 0; row_of(sizes, i); i++) {
		void *page = page_alloc_contiguous(sizes[i]);

		assert_non_null(page);
		assert_true(ptr_hpa(page).raw >= start);
		check_zero(page, sizes[i] * PAGE_SIZE);
		memset(page, 0x77, sizes[i] * PAGE_SIZE);
		assert_int_equal(page_free_large_bytes(), 3 * LARGE_SIZE);	/* in pieces or whole, one is not free */
		page_free_contiguous(page, sizes[i]);
		page = page_take_contiguous(sizes[i]);		/* what was in them stays */
		assert_int_equal(((uint8_t *)page)[sizes[i] * PAGE_SIZE - 1], 0x77);
		page_free_contiguous(page, sizes[i]);
		assert_int_equal(page_free_bytes(), before);
		assert_int_equal(page_free_large_bytes(), 4 * LARGE_SIZE);
	}
	page_free(NULL);
	page_free_contiguous(NULL, 5);
}

/* A VM built and destroyed again and again: no large page is lost to small ones. */
static void test_no_erosion(void **state)
{
	hpa_t pages[3];

	(void)state;
	(void)boot(0, 3 * LARGE_SIZE);
	for (size_t round = 0; round < 50; round++) {
		void *a = page_alloc_contiguous(300), *b = page_alloc_contiguous(300), *c = page_alloc();

		assert_true(a && b && c);
		page_free_contiguous(a, 300);
		page_free(c);
		page_free_contiguous(b, 300);
		for (size_t i = 0; row_of(pages, i); i++) {
			pages[i] = page_alloc_large();
			assert_int_not_equal(pages[i].raw, 0);
		}
		for (size_t i = 0; i < countof(pages); i++)
			page_free_large(pages[i]);
	}
}

/* The one that idle time has zeroed in part is handed out like the others when it is the last. */
static void test_half_zeroed(void **state)
{
	hpa_t pages[4];

	(void)state;
	(void)boot(PAGE_SIZE, 5 * LARGE_SIZE);
	for (unsigned round = 0; round < 4; round++) {
		for (size_t i = 0; row_of(pages, i); i++) {
			pages[i] = page_alloc_large();
			assert_int_not_equal(pages[i].raw, 0);
			check_zero(large_ptr(pages[i]), LARGE_SIZE);
			memset(large_ptr(pages[i]), 0xcc, LARGE_SIZE);
		}
		assert_int_equal(page_alloc_large().raw, 0);
		for (size_t i = 0; row_of(pages, i); i++)
			page_free_large(pages[i]);
		assert_true(page_idle_work());
		while (round == 1 && page_idle_work())
			continue;	/* the next page that is zeroed so is zeroed from its start */
	}
}

/* When only zeroed large pages are left, they serve small requests too. */
static void test_small_from_zeroed(void **state)
{
	(void)state;
	(void)boot(0, LARGE_SIZE);
	(void)prepare(LARGE_SIZE);
	assert_non_null(page_alloc());
	assert_int_equal(page_alloc_large().raw, 0);
}

static void test_give(void **state)
{
	uint64_t base = boot(0, LARGE_SIZE);

	(void)state;
	page_give(hpa(base + 2 * LARGE_SIZE), LARGE_SIZE / 2);
	page_give(hpa(base + LARGE_SIZE), LARGE_SIZE);		/* joins the first */
	page_give(hpa(base + LARGE_SIZE), 0);
	assert_int_equal(page_free_bytes(), 2 * LARGE_SIZE + LARGE_SIZE / 2 - PAGE_SIZE);
	assert_int_not_equal(page_alloc_large().raw, 0);
	assert_int_not_equal(page_alloc_large().raw, 0);
	assert_int_equal(page_alloc_large().raw, 0);
	assert_int_equal(take_all(base + 2 * LARGE_SIZE, LARGE_SIZE / 2), 255);
}

/*
 * Regions that touch, at either end, count as one. Of others there is room for so many, and what has no place is left
 * unused. Large pages are not touched before they are handed out, so there is no memory behind these.
 */
static void test_extents(void **state)
{
	enum { REGIONS = HANDOFF_REGIONS_MAX + 64 };
	const uint64_t base = 1ULL << 40;

	(void)state;
	(void)boot(0, 0);
	page_give(hpa(base), LARGE_SIZE);
	for (uint64_t i = 1; i <= 1000; i++) {
		page_give(hpa(base + i * LARGE_SIZE), LARGE_SIZE);
		page_give(hpa(base - i * LARGE_SIZE), LARGE_SIZE);
		assert_int_equal(page_free_large_bytes(), (2 * i + 1) * LARGE_SIZE);
	}
	for (uint64_t i = 1; i <= REGIONS; i++) {
		page_give(hpa(2 * base + 3 * i * LARGE_SIZE), LARGE_SIZE);
		assert_int_equal(page_free_large_bytes(), (2001 + min_u64(i, REGIONS - 1)) * LARGE_SIZE);
	}
	for (uint64_t i = 1; i <= REGIONS; i++)
		page_give(hpa(2 * base + 3 * i * LARGE_SIZE + LARGE_SIZE), LARGE_SIZE);
	assert_int_equal(page_free_large_bytes(), (2001 + 2 * (REGIONS - 1)) * LARGE_SIZE);
	assert_int_equal(page_free_bytes(), page_free_large_bytes());
}

/* All of a region is handed out, then all of the next. */
static void test_two_extents(void **state)
{
	uint64_t base = boot(0, 2 * LARGE_SIZE);

	(void)state;
	page_give(hpa(base + 4 * LARGE_SIZE), 2 * LARGE_SIZE);
	page_give(hpa(base + 3 * LARGE_SIZE), LARGE_SIZE);	/* below the second */
	assert_int_equal(page_alloc_large().raw, base + 5 * LARGE_SIZE);
	assert_int_equal(page_alloc_large().raw, base + 4 * LARGE_SIZE);
	assert_int_equal(page_alloc_large().raw, base + 3 * LARGE_SIZE);
	assert_int_equal(page_alloc_large().raw, base + LARGE_SIZE);
	assert_int_equal(page_alloc_large().raw, base);
	assert_int_equal(page_alloc_large().raw, 0);
}

/* Low memory is never touched, so giving it needs no memory behind it. */
static void test_low_memory(void **state)
{
	(void)state;
	(void)boot(0, 0);
	page_give(hpa(0), 1ULL << 20);
	assert_int_equal(page_free_bytes(), 0);
}

static void test_double_free(void **state)
{
	void *page, *other;
	volatile unsigned panics = 0;

	(void)state;
	(void)boot(0, LARGE_SIZE);
	page = page_alloc();
	other = page_alloc();		/* so the page that is freed stays a chunk by itself */
	page_free(page);
	if (setjmp(panicked))
		panics++;
	else
		page_free(page);
	(void)boot(0, LARGE_SIZE);	/* a panic leaves the lock behind */
	other = page_alloc();
	if (setjmp(panicked))
		panics++;
	else
		page_free((uint8_t *)other + 100 * LARGE_SIZE);
	assert_int_equal(panics, 2);
}

/* Many small random requests, each marked with its own number. */
static void test_random(void **state)
{
	struct { uint64_t *page; size_t pages; } held[64] = { 0 };
	uint64_t before;

	(void)state;
	(void)boot(7 * PAGE_SIZE, 5 * LARGE_SIZE);
	before = page_free_bytes();
	srand(1);
	for (size_t i = 0; i < 20000; i++) {
		size_t slot = (size_t)rand() % countof(held);

		if (held[slot].page) {
			assert_int_equal(*held[slot].page, slot);
			page_free_contiguous(held[slot].page, held[slot].pages);
			held[slot].page = NULL;
			continue;
		}
		held[slot].pages = 1 + (size_t)rand() % (rand() % 8 ? 4 : 200);
		held[slot].page = page_alloc_contiguous(held[slot].pages);
		if (!held[slot].page)
			continue;
		check_zero(held[slot].page, held[slot].pages * PAGE_SIZE);
		memset(held[slot].page, 0x99, held[slot].pages * PAGE_SIZE);
		*held[slot].page = slot;
	}
	for (size_t slot = 0; slot < countof(held); slot++)
		page_free_contiguous(held[slot].page, held[slot].page ? held[slot].pages : 1);
	assert_int_equal(page_free_bytes(), before);
}

static unsigned steps;

void __sanitizer_cov_trace_pc(void);

void __sanitizer_cov_trace_pc(void)
{
	steps++;
}

/*
 * The most steps that one call took while `larges` large pages were filled with 64 KiB pieces and emptied in
 * another order.
 */
static unsigned most_steps(size_t larges)
{
	enum { PIECE = 16, A_LARGE = 31, PIECES = 30 * A_LARGE };
	static void *pieces[PIECES];
	const size_t count = larges * A_LARGE;
	unsigned most = 0;

	(void)boot(0, larges * LARGE_SIZE);
	for (size_t i = 0; i < count; i++) {
		steps = 0;
		pieces[i] = page_alloc_contiguous(PIECE);
		assert_non_null(pieces[i]);
		most = steps > most ? steps : most;
	}
	assert_null(page_alloc_contiguous(PIECE));
	for (size_t i = 0, next = 0; i < count; i++, next = (next + 7) % count) {
		steps = 0;
		page_free_contiguous(pieces[next], PIECE);
		most = steps > most ? steps : most;
	}
	assert_int_equal(page_free_large_bytes(), larges * LARGE_SIZE);
	return most;
}

/* However much is in use, an allocation or a release takes no longer. */
static void test_steps(void **state)
{
	unsigned few = most_steps(2);

	(void)state;
	assert_in_range(few, 10, 500);
	assert_in_range(most_steps(30), 10, few + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small), cmocka_unit_test(test_unaligned_region), cmocka_unit_test(test_large),
		cmocka_unit_test(test_prepare), cmocka_unit_test(test_contiguous), cmocka_unit_test(test_no_erosion),
		cmocka_unit_test(test_small_from_zeroed), cmocka_unit_test(test_half_zeroed), cmocka_unit_test(test_give),
		cmocka_unit_test(test_low_memory), cmocka_unit_test(test_double_free), cmocka_unit_test(test_random),
		cmocka_unit_test(test_steps), cmocka_unit_test(test_zeroed_once), cmocka_unit_test(test_meanwhile),
		cmocka_unit_test(test_last), cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_extents), cmocka_unit_test(test_two_extents),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
