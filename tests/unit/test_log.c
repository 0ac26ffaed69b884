/* SPDX-License-Identifier: MIT */
/* hv/log.c: prefixes, levels, and what the ring gives back after it has wrapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/log.h"

static char shown[1024];
static size_t shown_len;

static void shown_write(const char *text, size_t len)
{
	len = min_size(len, sizeof(shown) - 1 - shown_len);
	memcpy(shown + shown_len, text, len);
	shown_len += len;
	shown[shown_len] = '\0';
}

static unsigned flushes;

static void shown_flush(void)
{
	flushes++;
}

static struct log_sink shown_sink = { .write = shown_write, .flush = shown_flush };

static void check_shown(const char *expect)
{
	assert_string_equal(shown, expect);
	shown_len = 0;
	shown[0] = '\0';
}

static char tail[128 << 10];
static size_t tail_len;

static void tail_sink(void *ctx, const char *text, size_t len)
{
	assert_ptr_equal(ctx, &tail_len);
	assert_true(len <= sizeof(tail) - tail_len - 1);
	memcpy(tail + tail_len, text, len);
	tail_len += len;
	tail[tail_len] = '\0';
}

static const char *get_tail(size_t bytes)
{
	tail_len = 0;
	tail[0] = '\0';
	log_tail(bytes, tail_sink, &tail_len);
	return tail;
}

/* First: the ring is still empty. */
static void test_prefix(void **state)
{
	(void)state;
	assert_string_equal(get_tail(LOG_TAIL_ALL), "");
	log_add_sink(&shown_sink);
	log_info("hello %d", 1);
	check_shown("trapeze: hello 1\n");
	log_info("trapeze: READY");
	check_shown("trapeze: READY\n");
	log_info("[%s] hello", "vm");
	check_shown("[vm] hello\n");
	log_info("%s", "[not a VM]");
	check_shown("trapeze: [not a VM]\n");
	assert_string_equal(get_tail(LOG_TAIL_ALL),
			    "trapeze: hello 1\ntrapeze: READY\n[vm] hello\ntrapeze: [not a VM]\n");
	assert_string_equal(get_tail(22), "trapeze: [not a VM]\n");
	assert_string_equal(get_tail(20), "trapeze: [not a VM]\n");
	assert_string_equal(get_tail(19), "");
	assert_string_equal(get_tail(0), "");
}

static void test_levels(void **state)
{
	(void)state;
	log_set_level(LOG_WARN);
	assert_int_equal(log_level(), LOG_WARN);
	log_error("a");
	log_warn("b");
	log_info("c");
	log_debug("d");
	log_trace("e");
	log_say("f");
	check_shown("trapeze: a\ntrapeze: b\ntrapeze: f\n");
	assert_string_equal(get_tail(44), "trapeze: b\ntrapeze: c\ntrapeze: d\ntrapeze: f\n");
	log_set_level(LOG_TRACE);
	log_trace("g");
	check_shown("trapeze: g\n");
}

/* A line too long is cut, and still is one line. */
static void test_long_line(void **state)
{
	char text[700];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	assert_int_equal(shown_len, 511);
	assert_int_equal(shown[shown_len - 1], '\n');
	assert_ptr_equal(strchr(shown, '\n'), shown + shown_len - 1);
	shown_len = 0;
}

static void test_wrap(void **state)
{
	char expect[64];

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		shown_len = 0;
		log_info("line %05u", i);
	}
	(void)get_tail(LOG_TAIL_ALL);
	assert_true(tail_len <= 16 << 10 && tail_len > (16 << 10) - 20);
	for (size_t at = 0, i = 20000 - tail_len / 20; at < tail_len; at += 20, i++) {
		snprintf(expect, sizeof(expect), "trapeze: line %05zu\n", i);
		assert_memory_equal(tail + at, expect, 20);
	}
}

static char late[256];
static size_t late_len;
static unsigned late_lines;

static void late_write(const char *text, size_t len)
{
	if (late_len + len < sizeof(late))
		memcpy(late + late_len, text, len);
	late_len += len;
	assert_int_equal(text[len - 1], '\n');
	late_lines++;
}

/* Whoever registers late gets what the ring holds, a line at a time across its end, and then what all get. */
static void test_late_sink(void **state)
{
	static struct log_sink sink = { .write = late_write, .flush = shown_flush };

	(void)state;
	assert_true(log_has_sink());
	log_add_sink(&sink);
	assert_true(late_lines > 800);
	late_len = late_lines = 0;
	log_info("for both");
	log_show("again\n", 6);
	assert_int_equal(late_lines, 2);
	assert_memory_equal(late, "trapeze: for both\nagain\n", late_len);
	assert_string_equal(get_tail(18), "trapeze: for both\n");
	flushes = 0;
	log_flush();
	assert_int_equal(flushes, 2);
}

/* A panic may come while a line is being written: its report waits for nobody. The last test, for the log stays so. */
static void test_seize(void **state)
{
	(void)state;
	(void)alarm(5);		/* seconds: a test that waits for the lock would wait for ever */
	log_hold();
	log_seize();
	log_hold();
	(void)alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix), cmocka_unit_test(test_levels), cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_wrap), cmocka_unit_test(test_late_sink), cmocka_unit_test(test_seize),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
