/* SPDX-License-Identifier: MIT */
/* hv/bus.c: who answers, in which pieces, and what a hole says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/bus.h"
#include "hv/lib/util.h"
#include "log_fake.h"

struct recorder {
	unsigned reads, writes;
	uint64_t offset[8], value[8];
	unsigned size[8];
};

static uint64_t record_read(void *dev, uint64_t offset, unsigned size)
{
	struct recorder *rec = dev;

	rec->offset[rec->reads % 8] = offset;
	rec->size[rec->reads++ % 8] = size;
	return 0x1122334455667788ULL >> (8 * offset);
}

static void record_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct recorder *rec = dev;

	rec->offset[rec->writes % 8] = offset;
	rec->value[rec->writes % 8] = value;
	rec->size[rec->writes++ % 8] = size;
}

static struct bus_range range_of(struct recorder *rec, uint64_t start, uint64_t length, unsigned sizes)
{
	return (struct bus_range){ "rec", start, length, sizes, record_read, record_write, rec };
}

static void test_add_refuses(void **state)
{
	static const struct { uint64_t start, length; unsigned sizes; int result; } rows[] = {
		{ 0x100, 0x10, 1, 0 },
		{ 0x10f, 1, 1, -1 },		/* inside */
		{ 0xff, 2, 1, -1 },		/* over its start */
		{ 0x00, 0x1000, 1, -1 },	/* around it */
		{ 0x110, 1, 1, 0 },		/* right behind */
		{ 0xff, 1, 1, 0 },		/* right before */
		{ 0x200, 0, 1, -1 },		/* empty */
		{ 0x200, 4, 0, -1 },		/* no size */
		{ UINT64_MAX, 2, 1, -1 },	/* wraps */
		{ UINT64_MAX, 1, 1, 0 },	/* the last byte there is */
	};
	struct recorder rec = { 0 };
	struct bus bus;

	(void)state;
	bus_init(&bus, "test");
	for (size_t i = 0; row_of(rows, i); i++) {
		struct bus_range range = range_of(&rec, rows[i].start, rows[i].length, rows[i].sizes);

		assert_int_equal(bus_add(&bus, &range), rows[i].result);
	}
	assert_non_null(bus_find(&bus, UINT64_MAX));
	assert_null(bus_find(&bus, 0x111));
	for (size_t i = 1; i < bus.count; i++)
		assert_true(bus.ranges[i - 1].start < bus.ranges[i].start);
}

static void test_table_full(void **state)
{
	struct recorder rec = { 0 };
	struct bus bus;

	(void)state;
	bus_init(&bus, "test");
	for (uint64_t i = 0; i <= BUS_RANGES_MAX; i++) {
		struct bus_range range = range_of(&rec, (BUS_RANGES_MAX - i) * 2, 1, 1);

		assert_int_equal(bus_add(&bus, &range), i < BUS_RANGES_MAX ? 0 : -1);
	}
	for (uint64_t i = 1; i <= BUS_RANGES_MAX; i++) {
		assert_int_equal(bus_find(&bus, i * 2)->start, i * 2);
		assert_null(bus_find(&bus, i * 2 + 1));
	}
}

static void test_access(void **state)
{
	static const struct {
		uint64_t addr; unsigned size, sizes; bool is_claimed; unsigned calls, call_size; uint64_t read;
	} rows[] = {
		{ 0x100, 4, 4, true, 1, 4, 0x55667788 },
		{ 0x100, 1, 7, true, 1, 1, 0x88 },
		{ 0x102, 2, 7, true, 1, 2, 0x5566 },
		{ 0x100, 8, 8, true, 1, 8, 0x1122334455667788ULL },
		{ 0x100, 4, 1, true, 4, 1, 0x55667788 },		/* split to bytes */
		{ 0x100, 4, 3, true, 2, 2, 0x55667788 },		/* the largest listed size */
		{ 0x100, 8, 5, true, 2, 4, 0x1122334455667788ULL },
		{ 0x100, 1, 4, false, 0, 0, 0xff },			/* too small for the device */
		{ 0x106, 4, 7, true, 1, 2, 0xffff1122 },		/* sticks out: the rest is a hole */
		{ 0x107, 4, 7, true, 1, 1, 0xffffff11 },
		{ 0x0fe, 4, 7, false, 0, 0, 0xffffffff },		/* begins in a hole */
		{ 0x108, 2, 7, false, 0, 0, 0xffff },
		{ UINT64_MAX, 8, 7, false, 0, 0, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct recorder rec = { 0 };
		struct bus_range range = range_of(&rec, 0x100, 8, rows[i].sizes);
		struct bus_view view;
		struct bus bus;
		uint64_t value = 0xa5a5a5a5a5a5a5a5ULL;

		bus_init(&bus, "test");
		assert_int_equal(bus_add(&bus, &range), 0);
		view = bus_view(&bus);
		assert_int_equal(bus_access(&view, rows[i].addr, rows[i].size, false, &value), rows[i].is_claimed);
		assert_int_equal(value, rows[i].read);
		assert_int_equal(rec.reads, rows[i].calls);
		value = 0xa5a4a3a2a1a09f9eULL;
		assert_int_equal(bus_access(&view, rows[i].addr, rows[i].size, true, &value), rows[i].is_claimed);
		assert_int_equal(value, 0xa5a4a3a2a1a09f9eULL);
		assert_int_equal(rec.writes, rows[i].calls);
		for (unsigned n = 0; n < rec.writes; n++) {
			uint64_t ones = UINT64_MAX >> (64 - 8 * rec.size[n]);

			assert_int_equal(rec.size[n], rows[i].call_size);
			assert_int_equal(rec.value[n], value >> (8 * n * rec.size[n]) & ones);
		}
	}
}

/* inw(0x20) reads both registers of two neighbours; a dword at 0xcf8 must not reach a device at 0xcf9. */
static void test_neighbours(void **state)
{
	struct recorder low = { 0 }, high = { 0 }, reset = { 0 };
	struct bus_range ranges[] = {
		range_of(&low, 0x20, 1, 1), range_of(&high, 0x21, 1, 1), range_of(&reset, 0xcf9, 1, 1),
	};
	struct bus bus;
	struct bus_view view = bus_view(&bus);
	uint64_t value = 0x80000600;

	(void)state;
	bus_init(&bus, "test");
	for (size_t i = 0; row_of(ranges, i); i++)
		assert_int_equal(bus_add(&bus, &ranges[i]), 0);
	assert_false(bus_access(&view, 0xcf8, 4, true, &value));
	assert_int_equal(reset.writes, 0);
	assert_true(bus_access(&view, 0x20, 2, false, &value));
	assert_int_equal(value, 0x8888);
	assert_int_equal(low.reads + high.reads, 2);
}

static void test_unclaimed_is_counted_and_logged_once(void **state)
{
	struct bus bus;
	struct bus_view view = bus_view(&bus);
	uint64_t value;

	(void)state;
	bus_init(&bus, "test");
	log_fake_lines = 0;
	for (int i = 0; i < 5; i++)
		assert_false(bus_access(&view, 0x80, 1, false, &value));
	assert_int_equal(bus.unclaimed, 5);
	assert_int_equal(log_fake_lines, 1);
}

static void test_null_callbacks(void **state)
{
	struct bus_range range = { "none", 0x10, 4, 4, NULL, NULL, NULL };
	struct bus bus;
	struct bus_view view = bus_view(&bus);
	uint64_t value = 1;

	(void)state;
	bus_init(&bus, "test");
	assert_int_equal(bus_add_table(&bus, &range, 1, NULL), 0);
	assert_int_equal(bus_add_table(&bus, &range, 1, NULL), -1);
	assert_true(bus_access(&view, 0x10, 4, true, &value));
	assert_true(bus_access(&view, 0x10, 4, false, &value));
	assert_int_equal(value, 0xffffffff);
}

/*
 * Two vCPUs use one bus, each with a view of its own: an access changes nothing of the bus, nor what the
 * other one tries first. A view that names a wrong range costs time only.
 */
static void test_the_bus_does_not_remember(void **state)
{
	struct recorder low = { 0 }, high = { 0 };
	struct bus_range ranges[] = { range_of(&low, 0x20, 8, 7), range_of(&high, 0x40, 8, 3) };
	struct bus bus, before;
	struct bus_view one = bus_view(&bus), other = bus_view(&bus);
	uint64_t value = 0;

	(void)state;
	bus_init(&bus, "test");
	for (size_t i = 0; row_of(ranges, i); i++)
		assert_int_equal(bus_add(&bus, &ranges[i]), 0);
	before = bus;
	for (unsigned i = 1; i <= 4; i++) {
		assert_true(bus_access(&one, 0x20, 4, true, &value));
		assert_true(bus_access(&other, 0x40, 4, false, &value));	/* two accesses of two bytes */
		assert_ptr_equal(one.last, bus_find(&bus, 0x20));
		assert_ptr_equal(other.last, bus_find(&bus, 0x40));
		assert_int_equal(low.writes, i);
		assert_int_equal(high.reads, 2 * i);
	}
	one = other;
	assert_true(bus_access(&one, 0x24, 4, true, &value));
	assert_int_equal(low.offset[4], 4);
	assert_memory_equal(&bus, &before, sizeof(bus));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_refuses),
		cmocka_unit_test(test_table_full),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_unclaimed_is_counted_and_logged_once),
		cmocka_unit_test(test_null_callbacks),
		cmocka_unit_test(test_the_bus_does_not_remember),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
