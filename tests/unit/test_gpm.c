/* SPDX-License-Identifier: MIT */
/* The one door to guest memory: limits, overflow, borders of chunks and slots, memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hv/account.h"
#include "hv/gpm.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "page_fake.h"
#include "release_all.h"

#define HOLE_START	0xa0000ULL
#define HOLE_END	0xc0000ULL
#define RAM_END		0x601000ULL	/* three chunks and a page */
#define HIGH_START	0x100000000ULL
#define HIGH_LENGTH	0x400000ULL

static struct gpm gpm;

static int setup(void **unused)
{
	(void)unused;
	memset(&gpm, 0, sizeof(gpm));
	return gpm_add_slot(&gpm, gpa(0), HOLE_START) || gpm_add_slot(&gpm, gpa(HOLE_END), RAM_END - HOLE_END) ||
	       gpm_add_slot(&gpm, gpa(HIGH_START), HIGH_LENGTH);
}

static int teardown(void **unused)
{
	(void)unused;
	gpm_destroy(&gpm);
	return page_fake_used != 0;
}

static void test_is_ram(void **unused)
{
	static const struct { uint64_t addr, len; bool is_ram; } rows[] = {
		{ 0, 1, true }, { 0, HOLE_START, true }, { 0, HOLE_START + 1, false }, { HOLE_START, 1, false },
		{ HOLE_START - 1, 1, true }, { HOLE_START - 1, 2, false }, { HOLE_END - 1, 2, false },
		{ HOLE_END, 1, true }, { RAM_END - 1, 1, true }, { RAM_END - 1, 2, false }, { RAM_END, 1, false },
		{ HIGH_START, HIGH_LENGTH, true }, { HIGH_START, HIGH_LENGTH + 1, false }, { HIGH_START - 1, 2, false },
		{ UINT64_MAX, 1, false }, { UINT64_MAX, 2, false }, { 0x1000, UINT64_MAX, false },
		{ HIGH_START, UINT64_MAX - HIGH_START, false }, { 0xfee00000, 4, false },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++)
		if (gpm_is_ram(&gpm, gpa(rows[i].addr), rows[i].len) != rows[i].is_ram)
			fail_msg("row %zu", i);
	assert_int_equal(gpm.populated, 0);
}

static void test_slots_that_cannot_be(void **unused)
{
	static const struct { uint64_t start, length; } rows[] = {
		{ 0x10000000, 0 }, { 0x10000800, 0x1000 }, { 0x10000000, 0x1800 }, { 0, 0x1000 },
		{ HOLE_START - 0x1000, 0x2000 }, { HIGH_START + 0x1000, 0x1000 }, { 0xfffffffffffff000, 0x1000 },
		{ 64ULL << 30, 0x1000 }, { 0x1000, 0xfffffffffffff000 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++)
		assert_int_equal(gpm_add_slot(&gpm, gpa(rows[i].start), rows[i].length), -1);
	assert_int_equal(gpm_add_slot(&gpm, gpa(0x10000000), 0x1000), 0);
	assert_int_equal(gpm_add_slot(&gpm, gpa(0x20000000), 0x1000), -1);	/* one too many */
}

static void test_copies_cross_chunks(void **unused)
{
	uint8_t out[0x3000], in[sizeof(out)];

	(void)unused;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	assert_true(gpm_write(&gpm, gpa(0x3ff000), out, sizeof(out)));
	assert_true(gpm_read(&gpm, gpa(0x3ff000), in, sizeof(in)));
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(gpm.populated, 2 * LARGE_SIZE);
	assert_true(gpm_fill(&gpm, gpa(0x3fffff), 0x5a, 2));
	assert_true(gpm_read(&gpm, gpa(0x3ffffe), in, 4));
	assert_int_equal(in[0], out[0xffe]);
	assert_int_equal(in[1], 0x5a);
	assert_int_equal(in[2], 0x5a);
	assert_int_equal(in[3], out[0x1001]);
	/* Memory not touched before reads as zero. */
	(void)nospec_took(0, 0);
	assert_true(gpm_read(&gpm, gpa(HIGH_START + 123), in, 4));
	assert_true(nospec_took(HIGH_START >> 30, GPM_GIB_MAX));
	assert_int_equal(in[0] | in[1] | in[2] | in[3], 0);
}

static void test_refusals(void **unused)
{
	static const struct { uint64_t addr; size_t len; } rows[] = {
		{ HOLE_START, 1 }, { HOLE_START - 1, 2 }, { HOLE_END - 1, 2 }, { RAM_END - 4, 8 }, { RAM_END, 1 },
		{ HIGH_START - 4, 8 }, { HIGH_START + HIGH_LENGTH - 4, 8 }, { UINT64_MAX - 3, 8 }, { UINT64_MAX, 1 },
		{ 0xfee00000, 4 }, { 0xd0000050, 4 },
	};
	uint8_t bytes[8] = { 0 };

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_false(gpm_read(&gpm, gpa(rows[i].addr), bytes, rows[i].len));
		assert_false(gpm_write(&gpm, gpa(rows[i].addr), bytes, rows[i].len));
		assert_false(gpm_fill(&gpm, gpa(rows[i].addr), 0, rows[i].len));
	}
}

static void test_words(void **unused)
{
	uint8_t byte;
	uint16_t half;
	uint64_t word;

	(void)unused;
	assert_true(gpm_write16(&gpm, gpa(0x1000), 0xbeef));
	assert_true(gpm_read16(&gpm, gpa(0x1000), &half));
	assert_int_equal(half, 0xbeef);
	assert_true(gpm_read64(&gpm, gpa(0x1000), &word));
	assert_int_equal(word, 0xbeef);
	/* Not aligned could be torn, and is refused. */
	assert_false(gpm_read16(&gpm, gpa(0x1001), &half));
	assert_false(gpm_write16(&gpm, gpa(0x1001), 1));
	assert_false(gpm_read64(&gpm, gpa(0x1004), &word));
	assert_false(gpm_read64(&gpm, gpa(HOLE_START), &word));
	assert_false(gpm_cmpxchg64(&gpm, gpa(0x1000), 1, 2));
	assert_true(gpm_cmpxchg64(&gpm, gpa(0x1000), 0xbeef, 0x1beef));
	assert_false(gpm_cmpxchg64(&gpm, gpa(0x1004), 0, 2));
	assert_true(gpm_read64(&gpm, gpa(0x1000), &word));
	assert_int_equal(word, 0x1beef);
	assert_true(gpm_exchange8(&gpm, gpa(0x1001), 7, &byte));
	assert_int_equal(byte, 0xbe);
	assert_true(gpm_read64(&gpm, gpa(0x1000), &word));
	assert_int_equal(word, 0x107ef);
	assert_false(gpm_exchange8(&gpm, gpa(HOLE_START), 7, &byte));
}

static void test_map(void **unused)
{
	size_t len = 0x10000;

	(void)unused;
	assert_non_null(gpm_map(&gpm, gpa(HOLE_START - 16), &len));
	assert_int_equal(len, 16);		/* cut at the slot's end */
	len = 0x10000;
	assert_non_null(gpm_map(&gpm, gpa(0x1ff000), &len));
	assert_int_equal(len, 0x1000);		/* and at the chunk's */
	len = 0;
	assert_null(gpm_map(&gpm, gpa(0x1000), &len));
	len = 1;
	assert_null(gpm_map(&gpm, gpa(HOLE_START), &len));
	len = SIZE_MAX;
	assert_null(gpm_map(&gpm, gpa(UINT64_MAX), &len));
}

static void test_populate(void **unused)
{
	bool is_whole = false;
	hpa_t chunk = gpm_populate(&gpm, gpa(0x234567), &is_whole);

	(void)unused;
	assert_true(chunk.raw && chunk.raw % LARGE_SIZE == 0);
	assert_true(is_whole);
	assert_int_equal(gpm_populate(&gpm, gpa(0x200000), &is_whole).raw, chunk.raw);
	assert_true(gpm_populate(&gpm, gpa(0x1000), &is_whole).raw);
	assert_false(is_whole);			/* a hole is in it */
	assert_true(gpm_populate(&gpm, gpa(RAM_END - 1), &is_whole).raw);
	assert_false(is_whole);
	assert_int_equal(gpm_populate(&gpm, gpa(HOLE_START), &is_whole).raw, 0);
	assert_int_equal(gpm_populate(&gpm, gpa(RAM_END), &is_whole).raw, 0);
	assert_int_equal(gpm_populate(&gpm, gpa(UINT64_MAX), &is_whole).raw, 0);
}

static void test_out_of_memory(void **unused)
{
	uint8_t byte = 1;
	bool    is_whole;

	(void)unused;
	page_fake_limit = page_fake_used;
	assert_false(gpm_write(&gpm, gpa(0x200000), &byte, 1));
	page_fake_limit = page_fake_used + PAGE_SIZE + LARGE_SIZE;
	assert_true(gpm_write(&gpm, gpa(0x200000), &byte, 1));
	assert_false(gpm_write(&gpm, gpa(0x400000), &byte, 1));
	assert_int_equal(gpm_populate(&gpm, gpa(0x400000), &is_whole).raw, 0);
	page_fake_limit = UINT64_MAX;
	assert_true(gpm_write(&gpm, gpa(0x400000), &byte, 1));
}

/* One chunk a call; a chunk for which there is no memory is passed over. */
static void test_touch(void **unused)
{
	const uint64_t len = 2 * LARGE_SIZE + 1;

	(void)unused;
	assert_false(gpm_is_near(&gpm, gpa(LARGE_SIZE), 1));
	assert_true(gpm_touch(&gpm, gpa(0x30000000), 4));
	gpm_only_look(true);
	assert_true(gpm_touch(&gpm, gpa(0x30000000), 4));	/* no RAM there: nothing to populate, as otherwise */
	assert_false(gpm_touch(&gpm, gpa(2 * LARGE_SIZE - 1), len));
	assert_true(gpm_touch(&gpm, gpa(UINT64_MAX - 1), 1));
	assert_int_equal(gpm.populated, 0);
	gpm_only_look(false);
	for (unsigned chunks = 1; chunks <= 3; chunks++) {
		assert_false(gpm_touch(&gpm, gpa(2 * LARGE_SIZE - 1), len));
		assert_int_equal(gpm.populated, chunks * LARGE_SIZE);
	}
	assert_true(gpm_touch(&gpm, gpa(2 * LARGE_SIZE - 1), len));
	assert_true(gpm_is_populated(&gpm, gpa(2 * LARGE_SIZE - 1), len));
	assert_false(gpm_is_populated(&gpm, gpa(2 * LARGE_SIZE - 1), 3 * LARGE_SIZE + 1));
	assert_false(gpm_is_populated(&gpm, gpa(LARGE_SIZE - 1), 2));
	assert_true(gpm_touch(&gpm, gpa(HIGH_START), 0));
	assert_int_equal(gpm.populated, 3 * LARGE_SIZE);
	assert_true(gpm_is_near(&gpm, gpa(LARGE_SIZE), LARGE_SIZE));
	assert_false(gpm_is_near(&gpm, gpa(LARGE_SIZE), LARGE_SIZE + 1));
	assert_false(gpm_is_near(&gpm, gpa(2 * LARGE_SIZE - 1), 2));
	assert_false(gpm_is_near(&gpm, gpa(UINT64_MAX), 1));
	page_fake_limit = page_fake_used;
	assert_true(gpm_touch(&gpm, gpa(HIGH_START), 1));
	page_fake_limit = UINT64_MAX;
	assert_false(gpm_touch(&gpm, gpa(HIGH_START), 1));
}

static void count(void *ctx) { ++*(unsigned *)ctx; }

/*
 * Attack: one request over far more untouched RAM than the host has left. What is missing is asked for once, not once for
 * each chunk, so the look at it stays short.
 */
static void test_attack_touch_without_memory(void **unused)
{
	unsigned refused = 0;
	struct account account = { .exceeded = count, .ctx = &refused };

	(void)unused;
	gpm.account = &account;
	assert_false(gpm_touch(&gpm, gpa(LARGE_SIZE), 3 * LARGE_SIZE));
	page_fake_limit = page_fake_used;
	assert_true(gpm_touch(&gpm, gpa(LARGE_SIZE), 3 * LARGE_SIZE));
	assert_int_equal(refused, 1);
	assert_int_equal(gpm.populated, LARGE_SIZE);
	page_fake_limit = UINT64_MAX;
	assert_false(gpm_touch(&gpm, gpa(LARGE_SIZE), 3 * LARGE_SIZE));	/* there is some again */
	assert_int_equal(gpm.populated, 2 * LARGE_SIZE);
	gpm_destroy(&gpm);
}

/*
 * A large VM is made in a short piece: there is nothing for a GiB before its first chunk is populated, and then one page
 * besides that chunk. A slot that comes later is in it too. Where one page is missing, nothing is populated.
 */
static void test_directories(void **unused)
{
	static const uint64_t nowhere[] = { 1ULL << 30, 0xfec00000, 64ULL << 30, UINT64_MAX };
	struct gpm large = { 0 };
	size_t len = 1;
	bool is_whole;

	(void)unused;
	assert_int_equal(gpm_add_slot(&large, gpa(0), 60ULL << 30), 0);
	assert_int_equal(page_fake_used, 0);
	assert_false(gpm_is_populated(&large, gpa(59ULL << 30), 1));
	assert_false(gpm_is_near(&large, gpa(59ULL << 30), 1));
	gpm_only_look(true);
	assert_null(gpm_map(&large, gpa(59ULL << 30), &len));
	gpm_only_look(false);
	assert_int_equal(page_fake_used, 0);
	assert_int_not_equal(gpm_populate(&large, gpa(59ULL << 30), &is_whole).raw, 0);
	assert_true(is_whole);
	assert_int_equal(page_fake_used, PAGE_SIZE + LARGE_SIZE);
	assert_int_equal(large.dirs, 1);
	assert_int_not_equal(gpm_populate(&large, gpa((60ULL << 30) - 1), &is_whole).raw, 0);	/* of the same GiB */
	assert_true(is_whole);
	assert_int_equal(large.dirs, 1);
	gpm_destroy(&large);

	assert_int_equal(gpm_add_slot(&large, gpa(0), LARGE_SIZE), 0);
	assert_int_not_equal(gpm_populate(&large, gpa(0), &is_whole).raw, 0);
	assert_int_equal(gpm_add_slot(&large, gpa(LARGE_SIZE), LARGE_SIZE + PAGE_SIZE), 0);
	assert_int_not_equal(gpm_populate(&large, gpa(LARGE_SIZE), &is_whole).raw, 0);
	assert_true(is_whole);
	assert_int_not_equal(gpm_populate(&large, gpa(2 * LARGE_SIZE), &is_whole).raw, 0);
	assert_false(is_whole);
	assert_int_equal(gpm_populate(&large, gpa(3 * LARGE_SIZE), &is_whole).raw, 0);
	/* Where there is no RAM at all no directory is made, nor one replaced. */
	for (size_t i = 0; i < countof(nowhere); i++)
		assert_int_equal(gpm_populate(&large, gpa(nowhere[i]), &is_whole).raw, 0);
	assert_int_equal(large.dirs, 1);
	assert_true(gpm_is_near(&large, gpa(0), 1));
	gpm_destroy(&large);

	/* It ends within its second GiB. */
	assert_int_equal(gpm_add_slot(&large, gpa(0), 3ULL << 29), 0);
	assert_int_not_equal(gpm_populate(&large, gpa(1ULL << 30), &is_whole).raw, 0);
	assert_true(is_whole);
	assert_int_equal(gpm_populate(&large, gpa(3ULL << 29), &is_whole).raw, 0);
	assert_int_equal(gpm_populate(&large, gpa((2ULL << 30) - 1), &is_whole).raw, 0);
	gpm_destroy(&large);
}

/* Of a GiB that nobody has touched: what is RAM behind a hole is missing, and populated from the hole on. */
static void test_touch_across_a_hole(void **unused)
{
	(void)unused;
	gpm_destroy(&gpm);
	assert_int_equal(gpm_add_slot(&gpm, gpa(LARGE_SIZE), LARGE_SIZE), 0);
	assert_false(gpm_is_populated(&gpm, gpa(0), 2 * LARGE_SIZE));
	assert_false(gpm_touch(&gpm, gpa(0), 2 * LARGE_SIZE));
	assert_int_equal(gpm.populated, LARGE_SIZE);
	assert_true(gpm_touch(&gpm, gpa(0), 2 * LARGE_SIZE));
	assert_true(gpm_touch(&gpm, gpa(1ULL << 30), 1));
	assert_int_equal(gpm_add_slot(&gpm, gpa(2ULL << 30), LARGE_SIZE), 0);	/* a hole of more than a whole GiB */
	assert_false(gpm_is_populated(&gpm, gpa(3ULL << 29), 1ULL << 30));
}

/* A range over the border of two GiB: the directory of the first one says nothing about the second. */
static void test_touch_across_gibs(void **unused)
{
	const gpa_t at = gpa((1ULL << 30) - LARGE_SIZE);

	(void)unused;
	gpm_destroy(&gpm);
	assert_int_equal(gpm_add_slot(&gpm, gpa(0), 2ULL << 30), 0);
	assert_false(gpm_touch(&gpm, at, 2 * LARGE_SIZE));
	assert_true(gpm_is_populated(&gpm, at, LARGE_SIZE));
	assert_false(gpm_is_populated(&gpm, at, 2 * LARGE_SIZE));
	assert_false(gpm_touch(&gpm, at, 2 * LARGE_SIZE));
	assert_true(gpm_touch(&gpm, at, 2 * LARGE_SIZE));
	assert_int_equal(gpm.populated, 2 * LARGE_SIZE);
}

/* One GiB at each call, however much there is. */
static void test_release(void **unused)
{
	uint64_t before;
	bool is_whole;

	(void)unused;
	assert_true(gpm_populate(&gpm, gpa(0), &is_whole).raw && gpm_populate(&gpm, gpa(LARGE_SIZE), &is_whole).raw &&
		    gpm_populate(&gpm, gpa(HIGH_START), &is_whole).raw);
	before = page_fake_used;
	assert_false(gpm_release(&gpm));
	assert_int_equal(before - page_fake_used, 2 * LARGE_SIZE + PAGE_SIZE);
	before = page_fake_used;
	assert_false(gpm_release(&gpm));
	assert_int_equal(before - page_fake_used, LARGE_SIZE + PAGE_SIZE);
	assert_true(gpm_release(&gpm));
	assert_int_equal(page_fake_used, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_is_ram), TEST(test_slots_that_cannot_be), TEST(test_copies_cross_chunks), TEST(test_refusals),
		TEST(test_words), TEST(test_map), TEST(test_populate), TEST(test_out_of_memory), TEST(test_directories), TEST(test_touch_across_a_hole), TEST(test_touch_across_gibs),
		TEST(test_release),
		TEST(test_touch), TEST(test_attack_touch_without_memory),
	};

	return cmocka_run_group_tests_name("gpm", tests, NULL, NULL);
}
