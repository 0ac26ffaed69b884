/* SPDX-License-Identifier: MIT */
/* hv/end.c: the machine's last lines, word for word, for scripts read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "hv/end.h"
#include "hv/lib/format.h"
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

static struct { bool is_wanted; _Atomic bool is_done; pthread_t thread; } other;

/* Another processor notes an exit while this one is in the middle of that: it waits, or they would mix two VMs. */
static void *note_longer(void *unused)
{
	end_note_exit("db", "NPF", 700001);
	other.is_done = true;
	return unused;
}

size_t format_buf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;

	if (other.is_wanted) {
		other.is_wanted = false;
		assert_int_equal(pthread_create(&other.thread, NULL, note_longer, NULL), 0);
		usleep(20000);
		assert_false(other.is_done);
	}
	va_start(args, fmt);
	vsnprintf(buf, size, fmt, args);
	va_end(args);
	return strlen(buf);
}

static void test_one_at_a_time(void **state)
{
	(void)state;
	other.is_wanted = true;
	end_note_exit("web", "CPUID", 700000);
	assert_int_equal(pthread_join(other.thread, NULL), 0);
	check_longest("trapeze: the longest piece of work took 700001 ticks (VM \"db\", NPF)");
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_longest), cmocka_unit_test(test_one_at_a_time), cmocka_unit_test(test_verdict) };

	return cmocka_run_group_tests_name("end", tests, NULL, NULL);
}
