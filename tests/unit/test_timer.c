/* SPDX-License-Identifier: MIT */
/* hv/timer.c: order, re-arming, and arithmetic at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "processor_fake.h"

static void test_mul_div(void **state)
{
	static const struct { uint64_t a, b, c, result; } rows[] = {
		{ 0, 5, 3, 0 }, { 7, 5, 3, 11 }, { 1ULL << 63, 2, 4, 1ULL << 62 },
		{ UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX }, { UINT64_MAX, 2, 1, UINT64_MAX },
		{ UINT64_MAX, 1000, 1000, UINT64_MAX }, { UINT64_MAX, 1, 2, UINT64_MAX / 2 },
		{ 3192000000ULL, 1193182, 3192000000ULL, 1193182 }, { 1ULL << 40, 1ULL << 40, 1ULL << 20, 1ULL << 60 },
		{ 1ULL << 40, 1ULL << 40, 1ULL << 16, UINT64_MAX }, { 5, 5, 0, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++)
		assert_int_equal(mul_div64(rows[i].a, rows[i].b, rows[i].c), rows[i].result);
}

struct shot { struct timer timer; unsigned fired, *order; uint64_t period, cost; };

static unsigned fire_count;

static void fire(void *ctx)
{
	struct shot *shot = ctx;

	shot->fired = ++fire_count;
	fake_now += shot->cost;
	if (shot->period)
		timer_arm(&shot->timer, fake_now + shot->period);
}

static void test_order(void **state)
{
	static const uint64_t deadlines[] = { 500, 100, 300, 300, 200, 400 };
	static const unsigned order[] = { 6, 1, 3, 4, 2, 5 };
	struct shot shots[countof(deadlines)] = { 0 };
	uint64_t start = fake_now;

	(void)state;
	fire_count = 0;
	assert_int_equal(timer_next(), TIMER_NEVER);
	for (size_t i = 0; row_of(deadlines, i); i++) {
		timer_init(&shots[i].timer, fire, &shots[i]);
		assert_false(timer_is_armed(&shots[i].timer));
		timer_arm(&shots[i].timer, 1);
		timer_arm(&shots[i].timer, start + deadlines[i]);
	}
	assert_int_equal(timer_next(), start + 100);
	timer_run_due();
	assert_int_equal(fire_count, 0);
	clock_jump(1000);
	for (size_t i = 0; row_of(deadlines, i); i++)
		assert_int_equal(shots[i].fired, order[i]);
	assert_int_equal(timer_next(), TIMER_NEVER);
}

static void test_disarm(void **state)
{
	struct shot a = { 0 }, b = { 0 };
	struct timer zeroed = { 0 };

	(void)state;
	fire_count = 0;
	timer_init(&a.timer, fire, &a);
	timer_init(&b.timer, fire, &b);
	timer_disarm(&a.timer);
	timer_arm(&a.timer, fake_now + 10);
	timer_arm(&b.timer, fake_now + 20);
	timer_disarm(&zeroed);		/* a half-built device: in no list, and the list stays whole */
	timer_disarm(&a.timer);
	timer_disarm(&a.timer);
	assert_int_equal(timer_next(), b.timer.deadline);
	timer_arm(&b.timer, TIMER_NEVER);
	assert_int_equal(timer_next(), TIMER_NEVER);
	clock_jump(100);
	assert_int_equal(fire_count, 0);
}

/* Each processor has its own deadlines, and its own timers fire on it, whatever is due elsewhere. */
static void test_two_processors(void **state)
{
	struct shot here = { 0 }, there = { 0 };

	(void)state;
	fire_count = 0;
	timer_init(&here.timer, fire, &here);
	timer_init(&there.timer, fire, &there);
	timer_arm(&here.timer, fake_now + 20);
	processor_fake_run_on(1);
	assert_int_equal(timer_next(), TIMER_NEVER);
	timer_arm(&there.timer, fake_now + 10);
	assert_int_equal(timer_next(), fake_now + 10);
	processor_fake_run_on(0);
	assert_int_equal(timer_next(), fake_now + 20);
	clock_jump(30);
	assert_int_equal(here.fired, 1);
	assert_int_equal(there.fired, 0);
	processor_fake_run_on(1);
	timer_disarm(&there.timer);
	processor_fake_run_on(0);
}

/* ---- Who is told of the earliest deadline ---- */

static struct { uint64_t deadline; struct processor *on; unsigned calls; } told;

static void on_change(uint64_t deadline, void *ctx)
{
	(void)ctx;
	told.deadline = deadline;
	told.on = host_processor();
	told.calls++;
}

static void expect_told(unsigned calls, uint64_t deadline)
{
	assert_int_equal(told.calls, calls);
	assert_int_equal(told.deadline, deadline);
	assert_ptr_equal(told.on, host_processor());
}

static int listen(void **state)
{
	(void)state;
	told.calls = 0;
	for (unsigned i = 0; i < PROCESSORS; i++)
		processors_fake[i].timers.on_change = on_change;
	return 0;
}

/* A test that failed leaves its timers armed, and they are gone with its stack. */
static int forget(void **state)
{
	(void)state;
	timer_set_bill(NULL);
	for (unsigned i = 0; i < PROCESSORS; i++)
		processors_fake[i].timers = (struct timer_list){ 0 };
	processor_fake_run_on(0);
	return 0;
}

/* Whenever the earliest deadline is another one, and only then; also when the same timer stays the first. */
static void test_on_change(void **state)
{
	struct shot first = { 0 }, second = { 0 };
	const uint64_t begin = fake_now;

	(void)state;
	timer_init(&first.timer, fire, &first);
	timer_init(&second.timer, fire, &second);
	timer_arm(&first.timer, begin + 100);
	expect_told(1, begin + 100);
	timer_arm(&second.timer, begin + 200);
	expect_told(1, begin + 100);
	timer_arm(&first.timer, begin + 150);		/* still the first */
	expect_told(2, begin + 150);
	timer_arm(&first.timer, begin + 150);
	timer_arm(&second.timer, begin + 180);		/* still the second */
	expect_told(2, begin + 150);
	timer_arm(&first.timer, begin + 190);
	expect_told(3, begin + 180);
	timer_disarm(&second.timer);
	expect_told(4, begin + 190);
	timer_disarm(&first.timer);
	expect_told(5, TIMER_NEVER);
}

/* By one that fires nobody is told: whoever had it fired looks afterwards. */
static void test_fires_in_silence(void **state)
{
	struct shot due = { 0 }, next = { 0 };

	(void)state;
	timer_init(&due.timer, fire, &due);
	timer_init(&next.timer, fire, &next);
	timer_arm(&due.timer, fake_now);
	timer_arm(&next.timer, fake_now + 100);
	told.calls = 0;
	timer_run_due();
	assert_true(due.fired);
	assert_int_equal(told.calls, 0);
	assert_int_equal(timer_next(), fake_now + 100);
	timer_disarm(&next.timer);
	expect_told(1, TIMER_NEVER);
}

static void expect_deadlines(const struct timer_list *list, const struct timer *first, const struct timer *second)
{
	assert_ptr_equal(list->first, first);
	if (!first)
		return;
	assert_ptr_equal(first->next, second);
	assert_true(first->list == list && !first->prev);
	if (second)
		assert_true(second->list == list && second->prev == first && !second->next);
}

/* The payer's timers leave one processor and come to another as they were armed, among those that are there. */
static void test_payer_moves(void **state)
{
	struct turn payer = { 0 }, other = { 0 };
	struct shot late = { 0 }, early = { 0 }, stays = { 0 }, there = { 0 };
	struct timer_list way = { 0 };
	const uint64_t begin = fake_now;

	(void)state;
	timer_init(&late.timer, fire, &late);
	timer_init(&early.timer, fire, &early);
	timer_init(&stays.timer, fire, &stays);
	timer_init(&there.timer, fire, &there);
	late.timer.payer = early.timer.payer = &payer;
	stays.timer.payer = &other;
	timer_arm(&late.timer, begin + 300);
	timer_arm(&early.timer, begin + 100);
	timer_arm(&stays.timer, begin + 200);
	processor_fake_run_on(1);
	timer_arm(&there.timer, begin + 150);
	processor_fake_run_on(0);
	told.calls = 0;

	timer_take_out(&payer, &way);
	expect_told(1, begin + 200);
	expect_deadlines(&host_processor()->timers, &stays.timer, NULL);
	expect_deadlines(&way, &early.timer, &late.timer);
	assert_int_equal(early.timer.deadline, begin + 100);
	assert_int_equal(late.timer.deadline, begin + 300);
	timer_take_out(&payer, &way);			/* nothing of it is left */
	expect_told(1, begin + 200);
	processor_fake_run_on(1);
	timer_put_in(&way);
	expect_told(2, begin + 100);
	assert_null(way.first);
	timer_disarm(&there.timer);
	expect_deadlines(&host_processor()->timers, &early.timer, &late.timer);
	assert_int_equal(early.timer.deadline, begin + 100);
	assert_int_equal(late.timer.deadline, begin + 300);
	timer_disarm(&late.timer);
	timer_disarm(&early.timer);
	expect_told(3, TIMER_NEVER);
	processor_fake_run_on(0);
	timer_disarm(&stays.timer);
}

/* A timer that re-arms itself at once must not keep the loop: one firing a round. */
static void test_no_storm(void **state)
{
	struct shot shot = { .period = 0 };

	(void)state;
	fire_count = 0;
	timer_init(&shot.timer, fire, &shot);
	shot.period = 1;
	timer_arm(&shot.timer, fake_now);
	timer_run_due();
	assert_int_equal(fire_count, 1);
	clock_jump(1000);
	assert_int_equal(fire_count, 2);
	timer_disarm(&shot.timer);
}

static struct { struct turn *payer; uint64_t since, wait; unsigned calls; } billed;

static uint64_t bill(struct turn *payer, uint64_t since)
{
	billed.payer = payer;
	billed.since = since;
	billed.calls++;
	return billed.wait;
}

/* What is due of one VM, whoever of it pays, up to the first of another's, and nobody is charged. */
static void test_own(void **state)
{
	static struct turn vm, others_vm, own = { .vm = &vm }, sibling = { .vm = &vm }, other = { .vm = &others_vm };
	static struct turn *const payers[] = { &own, &sibling, &other, &own, NULL };
	struct shot shots[countof(payers)] = { 0 }, *rest = &shots[3];
	const uint64_t begin = fake_now;

	(void)state;
	fire_count = 0;
	timer_set_bill(bill);
	billed.calls = 0;
	for (size_t i = 0; row_of(payers, i); i++) {
		timer_init(&shots[i].timer, fire, &shots[i]);
		shots[i].timer.payer = payers[i];
		timer_arm(&shots[i].timer, begin + i);
	}
	shots[0].period = 1;
	assert_true(timer_run_own(&vm, fake_now));
	assert_int_equal(fire_count, 1);
	fake_now++;
	assert_true(timer_run_own(&vm, fake_now));		/* two, one of which is armed anew: once each */
	assert_int_equal(fire_count, 3);
	timer_disarm(&shots[0].timer);
	fake_now = begin + countof(payers);
	assert_false(timer_run_own(&vm, fake_now));
	assert_int_equal(fire_count, 3);
	assert_true(timer_is_armed(&shots[2].timer) && timer_is_armed(&rest->timer));
	timer_disarm(&shots[2].timer);
	assert_false(timer_run_own(&vm, fake_now));		/* the last one is the hypervisor's */
	assert_int_equal(rest->fired, 4);
	assert_int_equal(billed.calls, 0);
	timer_disarm(&shots[4].timer);
}

/* Random moves, far and near: the earliest is always that of all, and a round fires what is due in order. */
static void test_random(void **state)
{
	struct shot shots[8] = { 0 };

	(void)state;
	srand(1);
	for (size_t i = 0; i < countof(shots); i++)
		timer_init(&shots[i].timer, fire, &shots[i]);
	for (unsigned round = 0; round < 100000; round++) {
		struct timer *timer = &shots[(unsigned)rand() % countof(shots)].timer;
		uint64_t earliest = TIMER_NEVER, last = 0;
		unsigned armed = 0, listed = 0;

		if (rand() % 5)
			timer_arm(timer, rand() % 9 ? fake_now + (unsigned)rand() % 20 : TIMER_NEVER);
		else
			timer_disarm(timer);
		for (size_t i = 0; i < countof(shots); i++) {
			earliest = min_u64(earliest, shots[i].timer.deadline);
			armed += timer_is_armed(&shots[i].timer);
		}
		assert_int_equal(timer_next(), earliest);
		for (size_t i = 0; i < countof(shots); i++)
			if (shots[i].timer.deadline == earliest && earliest != TIMER_NEVER && !shots[i].timer.prev)
				for (const struct timer *t = &shots[i].timer; t; last = t->deadline, t = t->next, listed++)
					assert_true(t->deadline >= last && (!t->next || t->next->prev == t));
		assert_int_equal(listed, armed);
		fake_now += (unsigned)rand() % 3;
		timer_run_due();
		assert_true(timer_next() > fake_now);
	}
	for (size_t i = 0; i < countof(shots); i++)
		timer_disarm(&shots[i].timer);
}

/* ---- Who pays ---- */

/*
 * A payer is charged before, from the deadline on, or from where the timer before it has ended; one in debt waits. Our
 * own timers are nobody's.
 */
static void test_payer(void **state)
{
	struct turn *payer = (struct turn *)&billed;	/* never looked into */
	struct shot ours = { 0 }, theirs = { .cost = 30 }, second = { 0 };
	uint64_t begin;

	(void)state;
	timer_set_bill(bill);
	fire_count = 0;
	billed.calls = 0;
	timer_init(&ours.timer, fire, &ours);
	timer_init(&theirs.timer, fire, &theirs);
	timer_init(&second.timer, fire, &second);
	theirs.timer.payer = second.timer.payer = payer;
	timer_arm(&ours.timer, fake_now + 1);
	clock_jump(10);
	assert_int_equal(fire_count, 1);
	assert_int_equal(billed.calls, 0);
	billed.wait = 50;
	timer_arm(&theirs.timer, fake_now + 5);
	clock_jump(10);
	assert_int_equal(fire_count, 1);
	assert_ptr_equal(billed.payer, payer);
	assert_int_equal(billed.since, fake_now - 5);
	assert_int_equal(timer_next(), fake_now + 50);
	billed.wait = 0;
	begin = fake_now;
	clock_jump(60);
	assert_int_equal(fire_count, 2);
	assert_int_equal(billed.calls, 2);
	assert_int_equal(billed.since, begin + 50);
	begin = fake_now;
	timer_arm(&theirs.timer, begin + 50);
	timer_arm(&second.timer, begin + 55);
	clock_jump(60);
	assert_int_equal(fire_count, 4);
	assert_int_equal(billed.calls, 4);
	assert_int_equal(billed.since, begin + 60 + theirs.cost);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mul_div),
		cmocka_unit_test_teardown(test_order, forget),
		cmocka_unit_test_teardown(test_disarm, forget),
		cmocka_unit_test_teardown(test_two_processors, forget),
		cmocka_unit_test_setup_teardown(test_on_change, listen, forget),
		cmocka_unit_test_setup_teardown(test_fires_in_silence, listen, forget),
		cmocka_unit_test_setup_teardown(test_payer_moves, listen, forget),
		cmocka_unit_test_teardown(test_no_storm, forget), cmocka_unit_test_teardown(test_own, forget),
		cmocka_unit_test_teardown(test_random, forget),
		cmocka_unit_test_teardown(test_payer, forget),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
