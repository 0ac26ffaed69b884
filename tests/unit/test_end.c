/* SPDX-License-Identifier: MIT */
/* hv/end.c: the machine's last lines, word for word, for scripts read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/end.h"
#include "hv/log.h"

static char said[200];

void log_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
}

static void check_longest(const char *expected)
{
	said[0] = '\0';
	end_say_longest();
	assert_string_equal(said, expected);
}

static void test_longest(void **state)
{
	char name[] = "web";

	(void)state;
	check_longest("");
	end_note_exit(name, "CPUID", 190);
	end_note_exit("db", "IOIO", 189);
	strcpy(name, "???");		/* that VM is gone */
	check_longest("trapeze: the longest piece of work took 190 ticks (VM \"web\", CPUID)");
	end_note_exit("db", "NPF", 262500);
	check_longest("trapeze: the longest piece of work took 262500 ticks (VM \"db\", NPF)");
}

static void test_verdict(void **state)
{
	(void)state;
	end_say(0, "all VMs are off");
	assert_string_equal(said, "trapeze: END status=0 all VMs are off");
	end_init("5d0c1f");
	end_say(1, "panic");
	assert_string_equal(said, "trapeze: END status=1 panic (run 5d0c1f)");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_longest), cmocka_unit_test(test_verdict) };

	return cmocka_run_group_tests_name("end", tests, NULL, NULL);
}
