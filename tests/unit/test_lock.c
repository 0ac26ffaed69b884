/* SPDX-License-Identifier: MIT */
/*
 * hv/lock.h with the checks of `make DEBUG=1`. Real threads are the processors: each has a block of its own.
 * They count under one lock and lose nothing, and what one of them holds does not bind the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/processor.h"
#include "log_fake.h"
#include "panic_fake.h"

#define THREADS	2U
#define ROUNDS	200U		/* a computer that is busy may take milliseconds to hand a lock over */

static _Thread_local struct processor self;

struct processor *host_processor(void)
{
	return &self;
}

static struct lock accounts = { .rank = LOCK_ACCOUNTS }, pages = { .rank = LOCK_PAGES }, log_lock = { .rank = LOCK_LOG };
static struct lock more_pages = { .rank = LOCK_PAGES };

static int set_up(void **unused)
{
	(void)unused;
	memset(&self, 0, sizeof(self));
	accounts.drawn = accounts.served = pages.drawn = pages.served = log_lock.drawn = log_lock.served = 0;
	more_pages.drawn = more_pages.served = 0;
	return 0;
}

/* ---- One at a time ---- */

static uint64_t counter;
static pthread_barrier_t start;

static void *count(void *unused)
{
	(void)pthread_barrier_wait(&start);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t seen;

		lock_take(&accounts);
		lock_take(&pages);
		lock_drop(&accounts);		/* not the last that was taken: any order will do */
		seen = counter;
		sched_yield();			/* whoever does not wait for the lock counts now, and that is lost */
		counter = seen + 1;
		lock_drop(&pages);
	}
	return unused;
}

static void test_threads(void **unused)
{
	pthread_t threads[THREADS];

	(void)unused;
	counter = 0;
	assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(counter, THREADS * ROUNDS);
	assert_int_equal(pages.drawn, THREADS * ROUNDS);
	assert_int_equal(pages.served, pages.drawn);
}

/* Tickets wrap around: whoever draws the last one is followed by the one who draws 0. */
static void test_wrap(void **unused)
{
	(void)unused;
	pages.drawn = pages.served = UINT32_MAX;
	for (unsigned i = 0; i < 3; i++) {
		lock_take(&pages);
		lock_drop(&pages);
	}
	assert_int_equal(pages.served, 2);
}

/* ---- One that is not dropped ---- */

static void take_in_vain(void) { lock_take_within(&pages, 1000); }

static void test_waits_too_long(void **unused)
{
	(void)unused;
	pages.drawn = 1;		/* another processor holds it */
	assert_true(panics(take_in_vain));
	assert_string_equal(panic_fake_text, "the lock \"pages\" is not dropped");
}

/* ---- In order ---- */

static void wrong_order(void)
{
	lock_take(&pages);
	lock_take(&accounts);
}

static void same_rank(void)
{
	lock_take(&pages);
	lock_take(&more_pages);
}

static void twice(void)
{
	lock_take(&log_lock);
	lock_take(&log_lock);
}

static void touched(void) { lock_check_held(&log_lock); }
static void not_held(void) { lock_drop(&log_lock); }

static void another_one(void)
{
	lock_take(&pages);
	lock_drop(&more_pages);
}

static void test_order(void **unused)
{
	static const struct { void (*call)(void); const char *text; } rows[] = {
		{ touched, "lock order: what \"log\" guards is touched by a processor that does not hold it" },
		{ wrong_order, "lock order: \"accounts\" is wanted while \"pages\" is held" },
		{ same_rank, "lock order: \"pages\" is wanted while \"pages\" is held" },
		{ twice, "lock order: \"log\" is wanted while \"log\" is held" },
		{ not_held, "lock order: \"log\" is dropped by a processor that does not hold it" },
		{ another_one, "lock order: \"pages\" is dropped by a processor that does not hold it" },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(unused);
		assert_true(panics(rows[i].call));
		assert_string_equal(panic_fake_text, rows[i].text);
	}
}

/* In a panic: what a processor holds, or stands waiting for, by name and rank. */
static void test_report(void **unused)
{
	(void)unused;
	log_fake_init();
	lock_check_log(&self.locks);
	assert_int_equal(log_fake_lines, 0);
	lock_take(&accounts);
	lock_take(&log_lock);
	lock_check_log(&self.locks);
	assert_string_equal(log_fake_text, "  it holds, or waits for, the lock \"accounts\"\n  it holds, or waits for, the lock \"log\"\n");
}

static void *take_all(void *unused)
{
	lock_take(&accounts);
	lock_take(&more_pages);
	lock_drop(&accounts);
	lock_take(&log_lock);
	lock_drop(&log_lock);
	lock_drop(&more_pages);
	return unused;
}

/* This processor holds a high rank. Another one takes lower ones: it holds nothing. */
static void test_order_is_each_processors_own(void **unused)
{
	pthread_t thread;

	(void)unused;
	lock_take(&pages);
	assert_int_equal(pthread_create(&thread, NULL, take_all, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	lock_drop(&pages);
	take_all(NULL);			/* and it is forgotten when the lock is dropped */
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_threads), TEST(test_wrap), TEST(test_order), TEST(test_report), TEST(test_waits_too_long), TEST(test_order_is_each_processors_own),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
