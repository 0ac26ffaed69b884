/* SPDX-License-Identifier: MIT */
/*
 * hv/page.c on memory of the host: everything handed out is zero, inside a free region, and nobody else's;
 * everything comes back; a page freed twice is our bug and panics.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/page.h"
#include "hv/lib/util.h"
#include "hv/panic.h"
#include "page_arena.h"

#define SMALL_MAX	20000U

static jmp_buf panicked;

void panic(const char *fmt, ...)
{
	(void)fmt;
	longjmp(panicked, 1);
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
			pages[i] = page_alloc_large(&any_node);
			assert_true(pages[i].raw >= start && pages[i].raw + LARGE_SIZE <= start + 9 * LARGE_SIZE);
			check_zero(large_ptr(pages[i]), LARGE_SIZE);
			memset(large_ptr(pages[i]), (int)i + 1, LARGE_SIZE);
		}
		assert_int_equal(page_alloc_large(&any_node).raw, 0);
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

/* Zeroed ahead or not: what comes out is the same. */
static void test_prepare(void **state)
{
	hpa_t pages[4];

	(void)state;
	(void)boot(0, 4 * LARGE_SIZE);
	assert_false(page_idle_work());
	assert_int_equal(prepare(3 * LARGE_SIZE), 3 * LARGE_SIZE / (4 * PAGE_SIZE));
	assert_false(page_prepare(&any_node, 3 * LARGE_SIZE));
	for (size_t i = 0; i < countof(pages); i++) {
		pages[i] = page_alloc_large(&any_node);
		check_zero(large_ptr(pages[i]), LARGE_SIZE);
		memset(large_ptr(pages[i]), 0x55, LARGE_SIZE);
	}
	for (size_t i = 0; i < countof(pages); i++)
		page_free_large(pages[i]);
	assert_true(page_idle_work());
	assert_false(page_prepare(&any_node, 0));	/* nothing is wanted: what is begun is for idle time */
	assert_true(page_idle_work());
	assert_in_range(prepare(100 * LARGE_SIZE), 1, 4 * LARGE_SIZE / (4 * PAGE_SIZE));	/* more than there is */
	assert_false(page_idle_work());
	for (size_t i = 0; i < countof(pages); i++)
		check_zero(large_ptr(page_alloc_large(&any_node)), LARGE_SIZE);
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
	assert_ptr_equal(large_ptr(page_alloc_large(&any_node)), top);
	assert_int_equal(top[MARK], 0x5a);
	top[MARK] = 0;
	check_zero(top, LARGE_SIZE);
	assert_int_equal(prepare(LARGE_SIZE), LARGE_SIZE / (4 * PAGE_SIZE));
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
			pages[i] = page_alloc_large(&any_node);
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
			pages[i] = page_alloc_large(&any_node);
			assert_int_not_equal(pages[i].raw, 0);
			check_zero(large_ptr(pages[i]), LARGE_SIZE);
			memset(large_ptr(pages[i]), 0xcc, LARGE_SIZE);
		}
		assert_int_equal(page_alloc_large(&any_node).raw, 0);
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
	assert_int_equal(page_alloc_large(&any_node).raw, 0);
}

static void test_give(void **state)
{
	uint64_t base = boot(0, LARGE_SIZE);

	(void)state;
	page_give(hpa(base + 2 * LARGE_SIZE), LARGE_SIZE / 2);
	page_give(hpa(base + LARGE_SIZE), LARGE_SIZE);		/* joins the first */
	page_give(hpa(base + LARGE_SIZE), 0);
	assert_int_equal(page_free_bytes(), 2 * LARGE_SIZE + LARGE_SIZE / 2 - PAGE_SIZE);
	assert_int_not_equal(page_alloc_large(&any_node).raw, 0);
	assert_int_not_equal(page_alloc_large(&any_node).raw, 0);
	assert_int_equal(page_alloc_large(&any_node).raw, 0);
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
	assert_int_equal(page_alloc_large(&any_node).raw, base + 5 * LARGE_SIZE);
	assert_int_equal(page_alloc_large(&any_node).raw, base + 4 * LARGE_SIZE);
	assert_int_equal(page_alloc_large(&any_node).raw, base + 3 * LARGE_SIZE);
	assert_int_equal(page_alloc_large(&any_node).raw, base + LARGE_SIZE);
	assert_int_equal(page_alloc_large(&any_node).raw, base);
	assert_int_equal(page_alloc_large(&any_node).raw, 0);
}

/* ---- Nodes ---- */

/*
 * Large pages 0 to 3 and the first half of 4 are of node 2, the rest up to 8 of node 6; nothing is of node 0. No large
 * page is of both.
 */
static uint64_t boot_nodes(void)
{
	static struct handoff handoff;
	const uint64_t base = arena();

	handoff.nodes = (struct handoff_nodes){ .with_memory = 1 << 2 | 1 << 6, .range_count = 2, .ranges = {
		{ base, 9 * LARGE_SIZE / 2, 2, 0 }, { base + 9 * LARGE_SIZE / 2, ARENA, 6, 0 } } };
	nodes_init(&handoff);
	return boot(0, 9 * LARGE_SIZE);
}

static int one_node(void **state)
{
	static const struct handoff handoff;

	(void)state;
	nodes_init(&handoff);
	return 0;
}

/* Which of its large pages they are, in the order in which they come; then they are free again. */
static void take_in_order(uint64_t base, struct node_wish wish, const char *order)
{
	hpa_t pages[10];
	char got[10] = "";
	size_t count = 0;

	while (count < countof(got) - 1 && (pages[count] = page_alloc_large(&wish)).raw) {
		check_zero(large_ptr(pages[count]), LARGE_SIZE);
		memset(large_ptr(pages[count]), 0xcc, LARGE_SIZE);
		got[count] = (char)('0' + (pages[count].raw - base) / LARGE_SIZE);
		count++;
	}
	assert_string_equal(got, order);
	while (count)
		page_free_large(pages[--count]);
}

/* From the node that is wished for while it has a page, untouched or freed before, then from the other. */
static void test_nodes(void **state)
{
	uint64_t base = boot_nodes();

	(void)state;
	assert_int_equal(page_free_large_bytes(), 8 * LARGE_SIZE);
	assert_int_equal(page_free_bytes(), 9 * LARGE_SIZE - 2 * PAGE_SIZE);	/* the two halves are blocks */
	take_in_order(base, (struct node_wish){ 6, 1 << 6 }, "87653210");
	take_in_order(base, (struct node_wish){ 2, 1 << 2 }, "32108765");
	take_in_order(base, (struct node_wish){ 6, 1 << 2 | 1 << 6 }, "87653210");
	take_in_order(base, (struct node_wish){ 0, 0 }, "32108765");
	take_in_order(base, (struct node_wish){ 0, 1 << 6 }, "87653210");	/* node 0 has none */
}

/* What is zeroed ahead is what will be taken; zeroed pages of the other node count for what this one cannot give. */
static void test_prepare_nodes(void **state)
{
	const struct node_wish low = { 2, 1 << 2 }, high = { 6, 1 << 6 };
	const uint64_t pieces = LARGE_SIZE / (4 * PAGE_SIZE);
	uint64_t base = boot_nodes(), count = 0;

	(void)state;
	while (page_prepare(&high, 2 * LARGE_SIZE))
		count++;
	assert_int_equal(count, 2 * pieces);
	assert_false(page_prepare(&high, 2 * LARGE_SIZE));
	for (count = 0; page_prepare(&low, 6 * LARGE_SIZE); count++)
		continue;
	assert_int_equal(count, 4 * pieces);		/* and the two */
	for (uint64_t i = 0; i < 4; i++)
		check_zero((void *)(uintptr_t)(base + i * LARGE_SIZE + PAGE_SIZE), LARGE_SIZE - PAGE_SIZE);
	assert_int_equal(*(uint8_t *)(uintptr_t)(base + 5 * LARGE_SIZE + PAGE_SIZE), 0xcc);	/* of the other node, dirty */
	/* Zeroed, or near and dirty: the near one. */
	take_in_order(base, high, "78650123");
	assert_true(page_idle_work());
}

/* Parts of two nodes that touch do not become one extent, and small pages come from both. */
static void test_small_of_nodes(void **state)
{
	uint64_t base = boot_nodes();

	(void)state;
	page_give(hpa(base + 9 * LARGE_SIZE), LARGE_SIZE);
	take_in_order(base, (struct node_wish){ 6, 1 << 6 }, "987653210" );
	assert_int_equal(take_all(base, 10 * LARGE_SIZE), 9 * 511 + 2 * 255);
	page_free_contiguous(page_alloc_contiguous(512), 512);
	take_in_order(base, (struct node_wish){ 2, 1 << 2 }, "012356789");
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
		cmocka_unit_test(test_steps), cmocka_unit_test(test_zeroed_once),
		cmocka_unit_test(test_extents), cmocka_unit_test(test_two_extents), cmocka_unit_test_teardown(test_nodes, one_node),
		cmocka_unit_test_teardown(test_prepare_nodes, one_node), cmocka_unit_test_teardown(test_small_of_nodes, one_node),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
