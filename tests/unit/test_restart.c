/* SPDX-License-Identifier: MIT */
/* hv/restart.c: waits that double, records that are forgotten, crashes that end it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/restart.h"

struct end { bool has_crashed; uint64_t life; uint32_t wait; };

static void check(const struct end *ends, size_t count)
{
	struct restarts restarts = { 0 };

	for (size_t i = 0; i < count; i++)
		if (restart_wait(&restarts, ends[i].has_crashed, ends[i].life) != ends[i].wait)
			fail_msg("end %zu: another wait than %u s", i, ends[i].wait);
}

#define CHECK(...) check((const struct end[]){ __VA_ARGS__ }, countof(((const struct end[]){ __VA_ARGS__ })))

static void test_resets(void **state)
{
	(void)state;
	CHECK({ false, 0, 1 }, { false, 0, 2 }, { false, 59, 4 }, { false, 3, 8 }, { false, 0, 16 }, { false, 0, 32 },
	      { false, 0, 60 }, { false, 0, 60 }, { false, 60, 0 }, { false, 0, 1 }, { false, 600, 0 });
}

static void test_crashes(void **state)
{
	(void)state;
	CHECK({ true, 0, 1 }, { true, 9, 2 }, { true, 0, 4 }, { true, 9, 8 }, { true, 9, RESTART_NEVER });
	CHECK({ true, 0, 1 }, { true, 0, 2 }, { true, 0, 4 }, { true, 0, 8 }, { true, 10, 16 }, { true, 0, 32 });
	CHECK({ true, 0, 1 }, { true, 0, 2 }, { true, 0, 4 }, { true, 0, 8 }, { true, 60, 0 }, { true, 0, 1 });
	/* A reset between two crashes is no life: the count goes on. */
	CHECK({ true, 0, 1 }, { true, 0, 2 }, { true, 0, 4 }, { true, 0, 8 }, { false, 0, 16 }, { true, 0, RESTART_NEVER });
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_resets), cmocka_unit_test(test_crashes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
