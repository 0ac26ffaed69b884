/* SPDX-License-Identifier: MIT */
/* hv/lib/format.c: what each conversion prints, and that buffers are never overrun. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/format.h"
#include "hv/lib/util.h"

struct row { const char *expect; char text[128]; size_t len; };

/* The compiler checks each row's format against its arguments, as it does in the product. */
#define ROW(expect_, ...) do {							\
	struct row *row = &rows[count++];					\
	row->expect = (expect_);						\
	row->len = format_buf(row->text, sizeof(row->text), __VA_ARGS__);	\
} while (0)

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(rows[i].text, rows[i].expect);
		assert_int_equal(rows[i].len, strlen(rows[i].expect));
	}
}

static void test_numbers(void **state)
{
	struct row rows[32];
	size_t count = 0;

	(void)state;
	ROW("0", "%d", 0);
	ROW("-1 1", "%d %i", -1, 1);
	ROW("-2147483648", "%d", INT32_MIN);
	ROW("4294967295", "%u", UINT32_MAX);
	ROW("18446744073709551615", "%lu", UINT64_MAX);
	ROW("-9223372036854775808", "%lld", (long long)INT64_MIN);
	ROW("ffffffffffffffff", "%lx", UINT64_MAX);
	ROW("beef BEEF", "%x %X", 0xbeefU, 0xbeefU);
	ROW("17", "%zu", (size_t)17);
	ROW("[   42]", "[%5d]", 42);
	ROW("[42   ]", "[%-5d]", 42);
	ROW("[00042]", "[%05d]", 42);
	ROW("[-0042]", "[%05d]", -42);
	ROW("[  -42]", "[%5d]", -42);
	ROW("[123456]", "[%3d]", 123456);
	ROW("[0000000000001234]", "[%016llx]", 0x1234ULL);
	ROW("[    7]", "[%*d]", 5, 7);
	ROW("0xfee00000 0xfee00000", "%#x %#llx", 0xfee00000U, 0xfee00000ULL);
	ROW("[    0xab][0x0000ab][0]", "[%#8x][%#08x][%#x]", 0xabU, 0xabU, 0U);
	ROW("0x10", "%p", (void *)(uintptr_t)16);
	check(rows, count);
}

static void test_text(void **state)
{
	struct row rows[32];
	size_t count = 0;

	(void)state;
	ROW("", "%s", "");
	ROW("plain", "plain");
	ROW("100%", "100%%");
	ROW("[abc]", "[%s]", "abc");
	ROW("[  abc]", "[%5s]", "abc");
	ROW("[abc  ]", "[%-5s]", "abc");
	ROW("[ab]", "[%.2s]", "abc");
	ROW("[ab]", "[%.*s]", 2, "abc");
	ROW("[   ab]", "[%5.2s]", "abc");
	ROW("[]", "[%.0s]", "abc");
	ROW("[x]", "[%c]", 'x');
	ROW("[  x]", "[%3c]", 'x');
	ROW("a=1 b=2 c", "%s=%d %s=%u %c", "a", 1, "b", 2U, 'c');
	check(rows, count);
}

/* Formats a compiler would refuse: printed as they stand, arguments left alone. */
static void test_unknown(void **state)
{
	static const char *const formats[] = { "%q", "%5.3y", "50%", "%-", "%l", "%n" };
	char text[32];

	(void)state;
	for (size_t i = 0; row_of(formats, i); i++) {
		const char *volatile fmt = formats[i];
		size_t (*loose)(char *, size_t, const char *, ...) = format_buf;

		(void)loose(text, sizeof(text), fmt);
		assert_string_equal(text, formats[i]);
	}
}

static void test_null_string(void **state)
{
	const char *volatile none = NULL;
	char text[32];

	(void)state;
	(void)format_buf(text, sizeof(text), "%s", none);
	assert_string_equal(text, "(null)");
}

/* The precision bounds the reading, too: the string need not end. */
static void test_unterminated(void **state)
{
	const char bare[3] = { 'a', 'b', 'c' };
	char text[8];

	(void)state;
	(void)format_buf(text, sizeof(text), "%.*s", (int)sizeof(bare), bare);
	assert_string_equal(text, "abc");
}

static void test_truncation(void **state)
{
	(void)state;
	for (size_t size = 0; size <= 12; size++) {
		char text[16], expect[16];

		memset(text, '#', sizeof(text));
		assert_int_equal(format_buf(text, size, "%s-%04u", "abcde", 42U), 10);
		if (size > 0) {
			snprintf(expect, size, "abcde-0042");
			assert_string_equal(text, expect);
		}
		assert_int_equal(text[size], '#');
	}
}

/* A width out of control pads a bounded amount. */
static void test_huge_width(void **state)
{
	char text[8];

	(void)state;
	assert_int_equal(format_buf(text, sizeof(text), "%*d", 1000000000, 1), 1024);
	assert_int_equal(format_buf(text, sizeof(text), "%*d", -5, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_text), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_null_string), cmocka_unit_test(test_unterminated),
		cmocka_unit_test(test_truncation), cmocka_unit_test(test_huge_width),
	};

	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
