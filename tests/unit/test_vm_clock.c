/* SPDX-License-Identifier: MIT */
/* hv/vm_clock.c: it runs, stands still, can be set; and deadlines in its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/vm_clock.h"

static unsigned fired;

static void on_fire(void *ctx)
{
	(void)ctx;
	fired++;
}

static void test_runs_and_stands(void **state)
{
	struct vm_clock clock = { 0 };

	(void)state;
	assert_int_equal(vm_clock_now(&clock), 0);
	clock_advance(500);
	assert_int_equal(vm_clock_now(&clock), 0);	/* not started */
	vm_clock_start(&clock);
	clock_advance(500);
	assert_int_equal(vm_clock_now(&clock), 500);
	vm_clock_start(&clock);				/* it runs: no second start */
	assert_int_equal(vm_clock_now(&clock), 500);
	vm_clock_stop(&clock);
	assert_int_equal(clock.s.time, 500);
	clock_advance(1000);
	vm_clock_stop(&clock);
	assert_int_equal(vm_clock_now(&clock), 500);
	vm_clock_start(&clock);
	clock_advance(7);
	assert_int_equal(vm_clock_now(&clock), 507);
}

static void test_set(void **state)
{
	struct vm_clock clock = { 0 };

	(void)state;
	vm_clock_set(&clock, 1ULL << 40);
	clock_advance(9);
	assert_int_equal(vm_clock_now(&clock), 1ULL << 40);
	vm_clock_start(&clock);
	clock_advance(9);
	assert_int_equal(vm_clock_now(&clock), (1ULL << 40) + 9);
	vm_clock_set(&clock, 3);
	clock_advance(9);
	assert_int_equal(vm_clock_now(&clock), 12);
}

/* How far away the host's deadline is, in ticks; -1: not armed. */
static int64_t distance(const struct timer *timer)
{
	return timer_is_armed(timer) ? (int64_t)(timer->deadline - fake_now) : -1;
}

static void test_deadlines(void **state)
{
	struct vm_clock clock = { 0 };
	struct timer timer;

	(void)state;
	timer_init(&timer, on_fire, NULL);
	vm_clock_arm(&clock, &timer, 100);
	assert_int_equal(distance(&timer), -1);		/* the clock stands: the moment never comes */
	vm_clock_set(&clock, 50);
	vm_clock_start(&clock);
	vm_clock_arm(&clock, &timer, 100);
	assert_int_equal(distance(&timer), 50);
	vm_clock_arm(&clock, &timer, 50);
	assert_int_equal(distance(&timer), 0);
	vm_clock_arm(&clock, &timer, 1);		/* passed: due now, and not before the host's clock began */
	assert_int_equal(distance(&timer), 0);
	vm_clock_arm(&clock, &timer, UINT64_MAX - 1);	/* farther than the host's counter reaches: never, and not "passed" */
	assert_int_equal(distance(&timer), -1);
	vm_clock_arm(&clock, &timer, TIMER_NEVER);
	assert_int_equal(distance(&timer), -1);
	vm_clock_arm_in(&clock, &timer, 50, TIMER_NEVER - fake_now);	/* the host's counter would show TIMER_NEVER itself */
	assert_int_equal(distance(&timer), -1);
	vm_clock_arm(&clock, &timer, 60);
	vm_clock_stop(&clock);
	vm_clock_arm(&clock, &timer, 60);
	assert_int_equal(distance(&timer), -1);
	assert_int_equal(fired, 0);
	vm_clock_start(&clock);
	vm_clock_arm(&clock, &timer, 60);
	clock_advance(10);
	assert_int_equal(fired, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_and_stands), cmocka_unit_test(test_set), cmocka_unit_test(test_deadlines),
	};

	return cmocka_run_group_tests_name("vm_clock", tests, NULL, NULL);
}
