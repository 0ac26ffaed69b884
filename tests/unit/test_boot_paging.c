/* SPDX-License-Identifier: MIT */
/* boot/paging.c: walk what was built as the processor would; the pool estimate is always enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/paging.h"
#include "hv/lib/util.h"

#define PAGE		4096ULL
#define GIB		(1ULL << 30)
#define LINK		0xffffffff80000000ULL
#define UNMAPPED	(~0ULL)

/* SDM vol. 3, 4.5: what a linear address shows, with P and R/W at every level. */
static uint64_t walk(const uint64_t *table, uint64_t virt)
{
	for (unsigned shift = 39; ; shift -= 9) {
		const uint64_t entry = table[(virt >> shift) & 511];
		const uint64_t offset = virt & ((1ULL << shift) - 1),
			       address = entry & 0xffffffffff000ULL;

		if ((entry & 3) != 3)
			return UNMAPPED;
		if (shift == 12 || (entry & 0x80))
			return (address & ~((1ULL << shift) - 1)) + offset;
		table = (const uint64_t *)(uintptr_t)address;
	}
}

struct space {
	struct paging_pool pool;
	uint64_t *root;
	void *memory;
};

static struct space new_space(size_t pages)
{
	struct space space = { .memory = aligned_alloc(PAGE, pages * PAGE) };

	assert_non_null(space.memory);
	memset(space.memory, 0, pages * PAGE);
	space.pool = (struct paging_pool){ .next = space.memory, .pages_left = pages };
	space.root = paging_root(&space.pool);
	return space;
}

static void maps(void **state)
{
	const size_t pages = paging_tables_needed(2, 5 * GIB, 5 * PAGE);
	struct space space = new_space(pages);

	(void)state;
	assert_true(pages < 40);
	assert_true(paging_identity(&space.pool, space.root, 0, 4 * GIB));
	assert_true(paging_identity(&space.pool, space.root, 0xfd00001000ULL, 0x1000));
	assert_true(paging_map(&space.pool, space.root, LINK + 0x1ff000, 0x12345000, 5 * PAGE));
	assert_int_equal(walk(space.root, 0), 0);
	assert_int_equal(walk(space.root, 0xfee00123), 0xfee00123);
	assert_int_equal(walk(space.root, 4 * GIB - 1), 4 * GIB - 1);
	assert_int_equal(walk(space.root, 4 * GIB), UNMAPPED);
	assert_int_equal(walk(space.root, 0xfd00001fffULL), 0xfd00001fffULL);
	assert_int_equal(walk(space.root, 0xfd00200000ULL), UNMAPPED);
	assert_int_equal(walk(space.root, LINK + 0x1fe000), UNMAPPED);
	assert_int_equal(walk(space.root, LINK + 0x1ff008), 0x12345008);
	assert_int_equal(walk(space.root, LINK + 0x203fff), 0x12349fff);
	assert_int_equal(walk(space.root, LINK + 0x204000), UNMAPPED);
	free(space.memory);
}

/* Mapping twice costs nothing: two regions may share a 2 MiB page. */
static void maps_again(void **state)
{
	struct space space = new_space(8);
	size_t left;

	(void)state;
	assert_true(paging_identity(&space.pool, space.root, 0x100000, 0x1000));
	left = space.pool.pages_left;
	assert_true(paging_identity(&space.pool, space.root, 0x101000, 0x200000));
	assert_int_equal(space.pool.pages_left, left);
	assert_int_equal(walk(space.root, 0x3fffff), 0x3fffff);
	free(space.memory);
}

/* What is covered, in pages of all three sizes, with four and five levels. SDM vol. 3, 4.5: PS is bit 7. */
static void covers(void **state)
{
	static const struct { uint64_t start, length; bool want; } rows[] = {
		{ 0x200000, 0x200000, true }, { 0x200000, 0x200001, false }, { 0x1fffff, 2, false }, { 0x3fffff, 1, true },
		{ 0x400000, 1, false },				/* no entry in a page directory */
		{ 0x600000, 0x1000, true }, { 0x600fff, 2, true }, { 0x601fff, 2, false },	/* two pages of 4 KiB */
		{ GIB, GIB, true }, { 2 * GIB - 1, 2, false },	/* one of 1 GiB */
		{ 512 * GIB, 1, false },
		{ LINK, 1, false },				/* mapped, and no address of its own */
		{ 1ULL << 47, 1, false }, { 1ULL << 56, 1, false }, { UINT64_MAX, 1, false }, { 0x200000, UINT64_MAX, false },
	};
	struct space space = new_space(16);
	uint64_t *five = space.root + 15 * 512;

	(void)state;
	assert_true(paging_identity(&space.pool, space.root, 0x200000, 0x200000));
	assert_true(paging_map(&space.pool, space.root, 0x600000, 0x600000, 0x2000));
	assert_true(paging_map(&space.pool, space.root, LINK, 0, 1));
	((uint64_t *)(uintptr_t)(space.root[0] & ~0xfffULL))[1] = GIB | 0x83;
	five[0] = (uintptr_t)space.root | 3;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_int_equal(paging_covers(space.root, 4, rows[i].start, rows[i].length), rows[i].want);
		assert_int_equal(paging_covers(five, 5, rows[i].start, rows[i].length), rows[i].want);
	}
	free(space.memory);
}

static void runs_out(void **state)
{
	struct space space = new_space(3);

	(void)state;
	assert_true(paging_identity(&space.pool, space.root, 0, GIB));
	assert_false(paging_identity(&space.pool, space.root, GIB, 1));
	assert_false(paging_map(&space.pool, space.root, LINK, 0, 1));
	assert_null(paging_root(&space.pool));
	free(space.memory);
}

static void estimate_suffices(void **state)
{
	(void)state;
	srand(1);
	for (unsigned round = 0; round < 200; round++) {
		uint64_t start[6], length[6], bytes = 0;
		const uint64_t image = (1 + (uint64_t)rand() % 600) * PAGE;
		struct space space;

		for (size_t i = 0; i < countof(start); i++) {
			start[i] = (((uint64_t)rand() << 8) + (uint64_t)rand()) % (1ULL << 46);
			length[i] = 1 + ((uint64_t)rand() << (rand() % 8)) % (20 * GIB);
			bytes += length[i];
		}
		space = new_space(paging_tables_needed(countof(start), bytes, image));
		for (size_t i = 0; row_of(start, i); i++)
			assert_true(paging_identity(&space.pool, space.root, start[i], length[i]));
		assert_true(paging_map(&space.pool, space.root,
				       LINK + (uint64_t)rand() % 512 * PAGE, 0, image));
		free(space.memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps), cmocka_unit_test(maps_again), cmocka_unit_test(runs_out),
		cmocka_unit_test(estimate_suffices), cmocka_unit_test(covers),
	};

	return cmocka_run_group_tests_name("boot_paging", tests, NULL, NULL);
}
