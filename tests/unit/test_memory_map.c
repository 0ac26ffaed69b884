/* SPDX-License-Identifier: MIT */
/* The guest's memory map: every size gives sane, matching lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/memory_map.h"

#define KIB(n)	((uint64_t)(n) << 10)
#define MIB(n)	((uint64_t)(n) << 20)
#define GIB(n)	((uint64_t)(n) << 30)

static const struct { uint64_t size; size_t slots, ranges; uint64_t last_end, announced_end; } sizes[] = {
	{ 0, 0, 0, 0, 0 },
	{ KIB(4), 1, 1, KIB(4), 0 },
	{ KIB(640), 1, 2, KIB(640), 0 },
	{ KIB(700), 1, 2, KIB(700), KIB(640) },		/* the VGA's window is RAM that nobody is told of */
	{ KIB(1024), 1, 3, MIB(1), 0 },
	{ MIB(1) + KIB(4), 1, 4, MIB(1) + KIB(4), 0 },
	{ MIB(64), 1, 4, MIB(64), 0 },
	{ GIB(3), 1, 4, GIB(3), 0 },
	{ GIB(3) + KIB(4), 2, 5, GIB(4) + KIB(4), 0 },
	{ GIB(8), 2, 5, GIB(9), 0 },
	{ UINT64_MAX, 2, 5, UINT64_MAX, 0 },
};

static void check_sorted(const struct memory_map *map, uint64_t last_end)
{
	uint64_t end = 0;

	for (size_t i = 0; i < map->count; i++) {
		assert_true(map->ranges[i].length > 0);
		assert_true(map->ranges[i].start >= end);
		end = map->ranges[i].start + map->ranges[i].length;
		assert_true(end > map->ranges[i].start);
	}
	assert_int_equal(end, last_end);
}

static void test_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; row_of(sizes, i); i++) {
		struct memory_map slots, e820;

		memory_map_slots(&slots, sizes[i].size);
		memory_map_e820(&e820, sizes[i].size);
		assert_int_equal(slots.count, sizes[i].slots);
		assert_int_equal(e820.count, sizes[i].ranges);
		check_sorted(&slots, sizes[i].last_end);
		check_sorted(&e820, sizes[i].announced_end ? sizes[i].announced_end : sizes[i].last_end);
		/* Whatever the guest is told lies in one slot: usable and reserved ranges alike. */
		for (size_t k = 0; k < e820.count; k++)
			assert_true(memory_map_is_usable(&slots, e820.ranges[k].start, e820.ranges[k].length));
	}
}

static void test_usable(void **state)
{
	static const struct { uint64_t start, len; bool is_usable; } rows[] = {
		{ 0, MEMORY_EBDA, true }, { 0, MEMORY_EBDA + 1, false }, { MEMORY_EBDA, 1, false },
		{ MEMORY_FIRMWARE, 16, false }, { MIB(1), 1, true }, { MIB(1) - 1, 2, false },
		{ GIB(3) - 1, 1, true }, { GIB(3) - 1, 2, false }, { GIB(3), 1, false },
		{ GIB(4), GIB(1), true }, { GIB(4), GIB(1) + 1, false },
		{ MIB(1), UINT64_MAX, false }, { UINT64_MAX, 2, false }, { GIB(4) + 1, UINT64_MAX - GIB(4), false },
	};
	struct memory_map map;

	(void)state;
	memory_map_e820(&map, GIB(4));
	for (size_t i = 0; row_of(rows, i); i++)
		assert_int_equal(memory_map_is_usable(&map, rows[i].start, rows[i].len), rows[i].is_usable);
}

static void test_place_high(void **state)
{
	static const struct { uint64_t size, len, floor, last; bool found; uint64_t start; } rows[] = {
		{ MIB(64), MIB(1), MIB(16), UINT64_MAX, true, MIB(63) },
		{ MIB(64), KIB(4) + 1, MIB(16), UINT64_MAX, true, MIB(64) - KIB(8) },
		{ MIB(64), 0, MIB(16), UINT64_MAX, true, MIB(64) },
		{ MIB(64), MIB(48), MIB(16), UINT64_MAX, true, MIB(16) },
		{ MIB(64), MIB(48) + 1, MIB(16), UINT64_MAX, false, 0 },
		{ MIB(64), MIB(100), MIB(48), UINT64_MAX, false, 0 },	/* longer than where the range ends */
		{ MIB(64), MIB(1), MIB(16), MIB(32) - 1, true, MIB(31) },
		{ MIB(64), MIB(1), MIB(16), MIB(32) - 2, true, MIB(31) - KIB(4) },
		{ MIB(64), MIB(1), MIB(64), UINT64_MAX, false, 0 },
		{ GIB(4), MIB(1), MIB(16), 0x7fffffff, true, GIB(2) - MIB(1) },
		{ GIB(4), MIB(1), MIB(16), UINT64_MAX, true, GIB(5) - MIB(1) },
		{ GIB(4), GIB(2), MIB(16), UINT64_MAX, true, GIB(1) },
		{ GIB(4), UINT64_MAX, MIB(16), UINT64_MAX, false, 0 },
		{ GIB(4), MIB(1), UINT64_MAX, UINT64_MAX, false, 0 },
		{ GIB(4), MIB(1), MIB(16), 0, false, 0 },
		{ KIB(4), 1, MIB(16), UINT64_MAX, false, 0 },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct memory_map map;
		uint64_t start = 0;

		memory_map_e820(&map, rows[i].size);
		assert_int_equal(memory_map_place_high(&map, rows[i].len, KIB(4), rows[i].floor, rows[i].last, &start),
				 rows[i].found);
		if (rows[i].found)
			assert_int_equal(start, rows[i].start);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_usable),
		cmocka_unit_test(test_place_high),
	};

	return cmocka_run_group_tests_name("memory_map", tests, NULL, NULL);
}
