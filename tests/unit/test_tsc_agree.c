/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/tsc_agree.c: which counters are the same, by the numbers alone and in an exchange between two
 * threads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/host/tsc_agree.h"
#include "arch/x86/hw/insn.h"

/* One clock, which goes on whenever somebody looks, and what each processor's counter adds to it. */
static _Atomic uint64_t clock_now;
static _Thread_local uint64_t ahead;

uint64_t rdtsc(void) { return ++clock_now + ahead; }
void cpu_pause(void) { sched_yield(); }
void cpu_fence(void) { }

/* ---- The numbers ---- */

static void test_bounds(void **unused)
{
	static const struct { uint64_t before, other, after, distance; } rows[] = {
		{ 100, 150, 200, 0 }, { 100, 100, 200, 0 }, { 100, 200, 200, 0 },
		{ 100, 201, 200, 1 }, { 100, 99, 200, 1 },
		{ 100, 5200, 200, 5000 }, { 5000, 100, 5100, 4900 },
		{ UINT64_MAX - 10, 5, 10, 0 },			/* it passes 2^64 */
		{ 0, 0, 0, 0 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct tsc_bounds bounds = TSC_BOUNDS_NONE;

		tsc_bounds_add(&bounds, rows[i].before, rows[i].other, rows[i].after);
		assert_int_equal(tsc_distance(&bounds), rows[i].distance);
	}
}

/* A slow exchange says little, and takes nothing back of what a quick one showed. */
static void test_rounds_narrow(void **unused)
{
	struct tsc_bounds bounds = TSC_BOUNDS_NONE;

	(void)unused;
	assert_int_equal(tsc_distance(&bounds), 0);
	tsc_bounds_add(&bounds, 0, 500, 1000);
	assert_int_equal(tsc_distance(&bounds), 0);
	tsc_bounds_add(&bounds, 2000, 2100, 2050);
	assert_int_equal(tsc_distance(&bounds), 50);
	tsc_bounds_add(&bounds, 3000, 3100, 3020);
	assert_int_equal(tsc_distance(&bounds), 80);
	tsc_bounds_add(&bounds, 4000, 4500, 5000);
	assert_int_equal(tsc_distance(&bounds), 80);
}

/* ---- The exchange ---- */

#define PATIENCE	(1ULL << 40)

static void *answer(void *unused)
{
	(void)unused;
	return tsc_answer(PATIENCE) ? &clock_now : NULL;
}

/* Twice for each: what the processor before it left behind must not count. */
static void test_exchange(void **unused)
{
	static const struct { uint64_t ahead; bool differs; } rows[] = {
		{ 0, false }, { 1ULL << 50, true }, { 0, false }, { -(1ULL << 50), true },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint64_t distance;
		pthread_t boot;
		void *all;

		tsc_prepare();
		assert_int_equal(pthread_create(&boot, NULL, answer, NULL), 0);
		ahead = rows[i].ahead;
		distance = tsc_ask();
		ahead = 0;
		assert_int_equal(pthread_join(boot, &all), 0);
		assert_non_null(all);
		if (rows[i].differs)
			assert_in_range(distance, (1ULL << 50) - (1ULL << 30), 1ULL << 50);
		else
			assert_int_equal(distance, 0);
	}
}

/* Nobody asks: the boot processor does not wait for ever. */
static void test_silence(void **unused)
{
	uint64_t start = clock_now;

	(void)unused;
	tsc_prepare();
	assert_false(tsc_answer(1000));
	assert_in_range(clock_now - start, 1000, 1100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds), cmocka_unit_test(test_rounds_narrow), cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests_name("tsc_agree", tests, NULL, NULL);
}
