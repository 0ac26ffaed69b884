/* SPDX-License-Identifier: MIT */
/* hv/watch.c: who hangs is asked, then named; who runs, idles, or has left the scheduler is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/host.h"
#include "hv/lib/bits.h"
#include "hv/watch.h"
#include "panic_fake.h"
#include "processor_fake.h"

#define ALL	(BIT(0) | BIT(1) | BIT(2))

static unsigned processors_on, asked[PROCESSORS];
static unsigned answers;	/* who runs a guest, of which an NMI makes an exit: a mask */

struct processor *host_processor_at(unsigned n) { return n < processors_on ? &processors_fake[n] : NULL; }
unsigned host_processor_number(struct processor *processor) { return 10 + processor->index; }

void host_kick(struct processor *processor, enum host_kick what)
{
	assert_int_equal(what, KICK_ASK);
	asked[processor->index]++;
	if (!(answers & BIT(processor->index)))
		return;
	processor_fake_run_on(processor->index);
	watch_answer();
	processor_fake_run_on(0);
}

/* All begin; then only those that `beat` have their timers called. */
static int set_up(void **unused)
{
	(void)unused;
	memset(processors_fake, 0, sizeof(processors_fake));
	memset(asked, 0, sizeof(asked));
	fake_now = 0;
	answers = 0;
	processors_on = PROCESSORS;
	for (unsigned i = PROCESSORS; i--;) {
		processors_fake[i].index = i;
		processor_fake_run_on(i);
		watch_begin();
	}
	return 0;
}

/* The processors of the mask get on, from the first one on. */
static void second_of(unsigned mask)
{
	for (unsigned i = 0; i < PROCESSORS; i++)
		if (mask & BIT(i)) {
			processor_fake_run_on(i);
			timer_run_due();
		}
	processor_fake_run_on(0);
}

static void seconds(unsigned count, unsigned mask)
{
	while (count--) {
		fake_now += FAKE_HZ;
		second_of(mask);
	}
}

static void test_all_well(void **unused)
{
	(void)unused;
	seconds(100, ALL);
	assert_int_equal(asked[0] + asked[1] + asked[2], 0);
	for (unsigned i = 0; i < PROCESSORS; i++)
		assert_int_equal(processors_fake[i].watch.beats, 100);
}

static unsigned who;
static void one_more(void) { seconds(1, who); }

/* Processor 0 watches 1, 1 watches 2, and 2 watches 0. Those that get on are neither asked nor named. */
static void test_hangs(void **unused)
{
	(void)unused;
	who = BIT(0) | BIT(2);
	seconds(5, ALL);
	seconds(1, who);			/* it sees the last beat, which came behind its look */
	seconds(2, who);
	assert_int_equal(asked[1], 0);
	seconds(7, who);
	assert_int_equal(asked[1], 7);
	assert_int_equal(asked[0] + asked[2], 0);
	assert_true(panics(one_more));
	assert_string_equal(panic_fake_text, "processor 11 makes no progress, since 10 s");
}

static void test_ring(void **unused)
{
	(void)unused;
	who = BIT(1) | BIT(2);
	seconds(1, ALL);
	seconds(9, who);
	assert_true(asked[0] == 7 && asked[1] == 0);
	assert_true(panics(one_more));
	assert_string_equal(panic_fake_text, "processor 10 makes no progress, since 10 s");
}

/* One waits for a lock that the other holds: whichever of them is watched, both are asked, and named. */
static void test_one_waits_for_another(void **unused)
{
	(void)unused;
	who = BIT(0);
	seconds(5, ALL);
	seconds(1, who);
	seconds(9, who);
	assert_true(asked[0] == 0 && asked[1] == 7 && asked[2] == 6);
	assert_true(panics(one_more));
	assert_string_equal(panic_fake_text, "processor 11 makes no progress, since 10 s; nor do 12");
}

/* Another one that has left the scheduler, or answers, is not silent. */
static void test_one_is_not_silent(void **unused)
{
	(void)unused;
	who = BIT(0);
	processor_fake_run_on(2);
	watch_end();
	seconds(9, who);
	assert_int_equal(asked[2], 0);
	assert_true(panics(one_more));
	assert_string_equal(panic_fake_text, "processor 11 makes no progress, since 10 s");
	(void)set_up(unused);
	answers = BIT(2);
	seconds(9, who);
	assert_in_range(asked[2], 1, 2);
	assert_true(panics(one_more));
	assert_string_equal(panic_fake_text, "processor 11 makes no progress, since 10 s");
}

/* A guest that runs, with our interrupts held back. */
static void test_answers(void **unused)
{
	(void)unused;
	answers = BIT(1);
	seconds(100, BIT(0) | BIT(2));
	assert_in_range(asked[1], 20, 40);
	assert_int_equal(processors_fake[1].watch.beats, asked[1]);
}

/* It comes late, once: all is well again. */
static void test_late(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 5; i++) {
		seconds(9, BIT(0));
		second_of(BIT(1) | BIT(2));
	}
	fake_now += 1000 * FAKE_HZ;		/* the whole machine stood still */
	second_of(ALL);
	assert_int_equal(processors_fake[0].watch.missed, 0);
}

static void test_left(void **unused)
{
	(void)unused;
	processor_fake_run_on(1);
	watch_end();
	assert_false(timer_is_armed(&processors_fake[1].watch.timer));
	seconds(100, BIT(0));
	assert_int_equal(asked[1], 0);
	processor_fake_run_on(0);
	watch_end();
	assert_int_equal(timer_next(), TIMER_NEVER);
}

static void test_alone(void **unused)
{
	(void)unused;
	processor_fake_run_on(0);
	watch_end();
	processors_on = 1;
	watch_begin();
	assert_int_equal(timer_next(), TIMER_NEVER);
	watch_end();
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_well), TEST(test_hangs), TEST(test_ring), TEST(test_one_waits_for_another), TEST(test_one_is_not_silent),
		 TEST(test_answers), TEST(test_late), TEST(test_left), TEST(test_alone),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
