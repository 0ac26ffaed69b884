/* SPDX-License-Identifier: MIT */
/* hv/state.c: sections there and back, and every way a buffer can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/state.h"

struct tone { struct { uint8_t pitch, is_on; } s; const char *wire; };
struct box { int wiring; struct tone high; struct { struct { uint64_t when; uint32_t index; } s; } low; };

static unsigned settled;

static void low_after_load(void *device)
{
	struct { uint64_t when; uint32_t index; } *low = device;

	low->index %= 4;
	settled++;
}

static const struct state_section sections[] = {
	STATE_SECTION(struct box, high, 1, NULL),
	STATE_SECTION(struct box, low, 7, low_after_load),
};

static struct box boxes[2];
static const struct state_object objects[] = {
	{ &boxes[0], sections, countof(sections), 0 }, { &boxes[1], sections, countof(sections), 1 },
};
static uint8_t saved[512];
static size_t length;

enum { HEADER = 16, RECORD = 32, HIGH = RECORD + 8, LOW = RECORD + 16 };	/* the format, once by hand */

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		boxes[i].wiring = 9;
		boxes[i].high.s.pitch = (uint8_t)(0x40 + i);
		boxes[i].high.wire = "kept";
		boxes[i].low.s.when = 1000 + i;
		boxes[i].low.s.index = 6;
	}
	settled = 0;
	memset(saved, 0xee, sizeof(saved));
	length = state_save(objects, 2, saved, sizeof(saved));
	assert_int_equal(length, HEADER + 2 * (HIGH + LOW));
	assert_int_equal(length, state_size(objects, 2));
	return 0;
}

static void expect_refused(size_t len, const char *section, uint32_t instance)
{
	struct state_error error = { 0 };
	struct box before[2];
	uint8_t *exact = malloc(len ? len : 1);	/* so that a read behind the end is seen */

	assert_non_null(exact);
	memcpy(exact, saved, len);
	memcpy(before, boxes, sizeof(before));
	assert_false(state_load(objects, 2, exact, len, &error));
	assert_non_null(error.what);
	assert_string_equal(error.section, section);
	assert_int_equal(error.instance, instance);
	assert_memory_equal(before, boxes, sizeof(before));	/* nothing was lost */
	assert_int_equal(settled, 0);
	free(exact);
}

static void test_round_trip(void **state)
{
	struct state_error error;
	uint8_t again[sizeof(saved)];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		boxes[i].high.s.pitch = 0;
		boxes[i].low.s.when = 0;
	}
	assert_true(state_load(objects, 2, saved, length, &error));
	assert_null(error.what);
	assert_int_equal(boxes[0].high.s.pitch, 0x40);
	assert_int_equal(boxes[1].low.s.when, 1001);
	assert_string_equal(boxes[1].high.wire, "kept");
	memset(again, 0xee, sizeof(again));
	assert_int_equal(state_save(objects, 2, again, sizeof(again)), length);
	assert_memory_equal(saved, again, sizeof(saved));	/* and not a byte behind the end */
	state_settle(objects, 2);
	assert_int_equal(settled, 2);
	assert_int_equal(boxes[1].low.s.index, 2);
}

static void test_no_room(void **state)
{
	(void)state;
	memset(saved, 0xee, sizeof(saved));
	assert_int_equal(state_save(objects, 2, saved, length - 1), 0);
	assert_int_equal(saved[0], 0xee);
}

static void test_any_order(void **state)
{
	struct state_error error;
	uint8_t first[HIGH];

	(void)state;
	memcpy(first, saved + HEADER, HIGH);
	memmove(saved + HEADER, saved + HEADER + HIGH, length - HEADER - HIGH);
	memcpy(saved + length - HIGH, first, HIGH);
	boxes[0].high.s.pitch = 0;
	assert_true(state_load(objects, 2, saved, length, &error));
	assert_int_equal(boxes[0].high.s.pitch, 0x40);
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t len = 0; len < length; len++)
		expect_refused(len, "", 0);
}

static void test_wrong(void **state)
{
	static const struct { size_t at; uint8_t value; const char *section; uint32_t instance; } rows[] = {
		{ 0, 'X', "", 0 },				/* no saved state */
		{ 4, 2, "", 0 },				/* another format */
		{ 8, 3, "", 0 },				/* fewer records than there are */
		{ 8, 5, "", 0 },
		{ HEADER, 'X', "Xigh", 0 },			/* unknown */
		{ HEADER + 16, 2, "high", 0 },			/* version */
		{ HEADER + 20, 9, "high", 9 },			/* instance */
		{ HEADER + 20, 1, "high", 0 },			/* one twice, so the other is missing */
		{ HEADER + 24, 3, "high", 0 },			/* size */
		{ HEADER + 27, 0xff, "", 0 },			/* size beyond the end */
		{ HEADER + HIGH + 16, 1, "low", 0 },
		{ HEADER + HIGH + LOW + 16, 0, "high", 1 },
	};

	for (size_t i = 0; i < countof(rows); i++) {
		setup(state);
		saved[rows[i].at] = rows[i].value;
		expect_refused(length, rows[i].section, rows[i].instance);
	}
	setup(state);
	memset(saved + HEADER, 'x', STATE_NAME_MAX);		/* a name without an end */
	expect_refused(length, "xxxxxxxxxxxxxxx", 0);
	setup(state);						/* a whole record too much, of a known section */
	memcpy(saved + length, saved + HEADER, HIGH);
	saved[8]++;
	expect_refused(length + HIGH, "", 0);
	setup(state);
	expect_refused(length + 8, "", 0);
}

/* Any bytes: refused or taken, never read behind the end. */
static void test_random(void **state)
{
	uint32_t seed = 5;

	for (int i = 0; i < 100000; i++) {
		struct state_error error;

		if (!(i % 16))
			setup(state);
		seed = seed * 1664525 + 1013904223;
		saved[(seed >> 8) % length] = (uint8_t)(seed >> 24);
		if (state_load(objects, 2, saved, length, &error))
			state_settle(objects, 2);
		assert_true(boxes[0].low.s.index < 8 && boxes[0].wiring == 9);
	}
}

static void test_flags(void **state)
{
	bool flag;

	(void)state;
	memset(&flag, 0xfe, sizeof(flag));
	state_fix_bool(&flag);
	assert_false(flag);
	memset(&flag, 0xff, sizeof(flag));
	state_fix_bool(&flag);
	assert_true(flag);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_round_trip), TEST(test_no_room), TEST(test_any_order), TEST(test_truncated), TEST(test_wrong),
		TEST(test_random), TEST(test_flags),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
