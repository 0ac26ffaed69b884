/* SPDX-License-Identifier: MIT */
/* hv/page.c while several processors zero pages ahead: none is lost, handed out twice, or handed out dirty. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/page.h"
#include "hv/lib/util.h"
#include "hv/panic.h"
#include "page_arena.h"

/* page.c is compiled for the test that counts its steps. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void) { }

void panic(const char *fmt, ...)
{
	(void)fmt;
	abort();
}

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
		(void)page_alloc_large(&any_node);
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
	assert_true(page_prepare(&any_node, 3 * LARGE_SIZE));
	while (page_idle_work() || page_prepare(&any_node, 3 * LARGE_SIZE))
		continue;
	large = page_alloc_large(&any_node);
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
		check_zero(large_ptr(page_alloc_large(&any_node)), LARGE_SIZE);
	assert_int_equal(page_alloc_large(&any_node).raw, 0);
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
		hpa_t large = page_alloc_large(&any_node);

		/* Those in the list go first. The one that was begun last was put back first. */
		assert_int_equal((large.raw - first) / LARGE_SIZE, i < listed ? i : AT_ONCE - 1 - (i - listed));
		check_zero(large_ptr(large), LARGE_SIZE);
	}
	assert_int_equal(page_alloc_large(&any_node).raw, 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meanwhile), cmocka_unit_test(test_last), cmocka_unit_test(test_many_at_once),
	};

	return cmocka_run_group_tests_name("page_many", tests, NULL, NULL);
}
