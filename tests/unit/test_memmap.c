/* SPDX-License-Identifier: MIT */
/* boot/memmap.c: always sorted, disjoint, merged; the last claim wins; the firmware's types mean what they should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/memmap.h"
#include "hv/lib/util.h"

#define WB	0x8ULL
#define PAGE	0x1000ULL

static struct handoff handoff;

static void check_form(void)
{
	for (uint32_t i = 0; i < handoff.region_count; i++) {
		const struct handoff_region *region = &handoff.regions[i];

		assert_true(region->length > 0);
		assert_int_equal((region->start | region->length) % PAGE, 0);
		if (i == 0)
			continue;
		assert_true(region[-1].start + region[-1].length <= region->start);
		assert_false(region[-1].start + region[-1].length == region->start &&
			     region[-1].kind == region->kind);
	}
}

static void check_region(uint32_t index, uint64_t start, uint64_t end, uint32_t kind)
{
	assert_true(index < handoff.region_count);
	assert_int_equal(handoff.regions[index].start, start);
	assert_int_equal(handoff.regions[index].start + handoff.regions[index].length, end);
	assert_int_equal(handoff.regions[index].kind, kind);
}

static void types(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t attribute;
		enum handoff_region_kind kind;
	} rows[] = {
		{ 0, WB, REGION_RESERVED },  { 1, WB, REGION_FREE },
		{ 2, WB, REGION_FREE },	     { 3, WB, REGION_FREE },
		{ 4, WB, REGION_FREE },	     { 5, WB, REGION_RUNTIME },
		{ 6, WB, REGION_RUNTIME },   { 7, WB, REGION_FREE },
		{ 7, 1, REGION_RESERVED },   { 8, WB, REGION_RESERVED },
		{ 9, WB, REGION_ACPI },	     { 10, WB, REGION_ACPI },
		{ 11, 1, REGION_MMIO },	     { 12, 1, REGION_MMIO },
		{ 13, WB, REGION_RESERVED }, { 14, WB, REGION_RESERVED },
		{ 15, WB, REGION_RESERVED }, { 0x80000000U, WB, REGION_RESERVED },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++)
		assert_int_equal(memmap_kind(rows[i].type, rows[i].attribute), rows[i].kind);
}

/* A firmware with longer descriptors, in no order, with neighbours of one kind, an overlap and an absurd entry. */
static void builds(void **state)
{
	static const struct { struct memmap_descriptor entry; uint64_t more; } map[] = {
		{ { 7, 0, 0x100000, 0, 0x100, WB }, 1 },
		{ { 7, 0, 0, 0, 0xa0, WB }, 2 },
		{ { 4, 0, 0x200000, 0, 0x100, WB }, 3 },
		{ { 5, 0, 0x300000, 0, 1, WB }, 4 },
		{ { 7, 0, 0x2ff000, 0, 4, WB }, 5 },		/* overlaps the one before */
		{ { 11, 0, 0xfee00000, 0, 1, 1 }, 6 },
		{ { 7, 0, 0x400000, 0, ~0ULL, WB }, 7 },	/* wraps */
		{ { 7, 0, ~0xfffULL, 0, 2, WB }, 8 },		/* wraps */
		{ { 7, 0, 0x500000, 0, 0, WB }, 9 },		/* empty */
	};
	const struct memmap_source source = { map, sizeof(map), sizeof(map[0]) };

	(void)state;
	handoff.region_count = 77;
	assert_true(memmap_build(&source, &handoff));
	check_form();
	assert_int_equal(handoff.region_count, 5);
	check_region(0, 0, 0xa0000, REGION_FREE);
	check_region(1, 0x100000, 0x300000, REGION_FREE);
	check_region(2, 0x300000, 0x301000, REGION_RUNTIME);
	check_region(3, 0x301000, 0x303000, REGION_FREE);
	check_region(4, 0xfee00000, 0xfee01000, REGION_MMIO);
}

static void bad_sources(void **state)
{
	static const uint8_t map[64];

	(void)state;
	assert_false(memmap_build(&(struct memmap_source){ map, sizeof(map), 0 }, &handoff));
	assert_false(memmap_build(&(struct memmap_source){ map, sizeof(map), 39 }, &handoff));
	assert_true(memmap_build(&(struct memmap_source){ map, 39, 40 }, &handoff));
	assert_int_equal(handoff.region_count, 0);
}

static void claims(void **state)
{
	(void)state;
	handoff.region_count = 0;
	assert_true(memmap_set(&handoff, 0x1000, 0x9000, REGION_FREE));
	assert_true(memmap_set(&handoff, 0x4000, 0x1001, REGION_FILE));		/* in the middle, rounded up */
	check_form();
	check_region(0, 0x1000, 0x4000, REGION_FREE);
	check_region(1, 0x4000, 0x6000, REGION_FILE);
	check_region(2, 0x6000, 0xa000, REGION_FREE);
	assert_true(memmap_set(&handoff, 0x6000, 0x1000, REGION_FILE));		/* grows its neighbour */
	assert_int_equal(handoff.region_count, 3);
	check_region(1, 0x4000, 0x7000, REGION_FILE);
	assert_true(memmap_set(&handoff, 0, 0x20000, REGION_HV));		/* swallows everything */
	assert_int_equal(handoff.region_count, 1);
	check_region(0, 0, 0x20000, REGION_HV);
	assert_true(memmap_set(&handoff, 0x20000, 0, REGION_FREE));
	assert_int_equal(handoff.region_count, 1);
}

static void full_list(void **state)
{
	(void)state;
	handoff.region_count = 0;
	for (uint64_t i = 0; i < HANDOFF_REGIONS_MAX; i++)
		assert_true(memmap_set(&handoff, i * 4 * PAGE, 3 * PAGE, REGION_FREE));
	assert_false(memmap_set(&handoff, PAGE, PAGE, REGION_FILE));
	check_form();
	assert_true(memmap_set(&handoff, 3 * PAGE, PAGE, REGION_HV) == false);
	handoff.region_count = HANDOFF_REGIONS_MAX;
	check_form();
}

/* Against an array with one kind a page. */
static void random_claims(void **state)
{
	enum { PAGES = 300, ROUNDS = 4000 };
	uint32_t model[PAGES] = { 0 };

	(void)state;
	srand(1);
	handoff.region_count = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		const uint32_t first = (uint32_t)rand() % PAGES,
			       count = 1 + (uint32_t)rand() % (PAGES - first);
		const enum handoff_region_kind kind = 1 + (uint32_t)rand() % REGION_MMIO;
		uint32_t at = 0;

		assert_true(memmap_set(&handoff, first * PAGE,
				       (count % 9 ? count % 9 : count) * PAGE, kind));
		for (uint32_t i = first; i < first + (count % 9 ? count % 9 : count); i++)
			model[i] = kind;
		check_form();
		for (uint32_t page = 0; page < PAGES; page++) {
			const struct handoff_region *region = &handoff.regions[at];

			if (at < handoff.region_count &&
			    region->start + region->length <= page * PAGE)
				region = &handoff.regions[++at];
			if (at < handoff.region_count && region->start <= page * PAGE)
				assert_int_equal(region->kind, model[page]);
			else
				assert_int_equal(model[page], 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types),       cmocka_unit_test(builds),
		cmocka_unit_test(bad_sources), cmocka_unit_test(claims),
		cmocka_unit_test(full_list),   cmocka_unit_test(random_claims),
	};

	return cmocka_run_group_tests_name("memmap", tests, NULL, NULL);
}
