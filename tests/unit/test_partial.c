/* SPDX-License-Identifier: MIT */
/* The copy of an unfinished line: what would draw it again, how far it reaches, and when it cannot be drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/partial.h"

static const struct {
	const char *said, *again;
	size_t      column, width;
	bool        is_lost;
} rows[] = {
	{ "", "", 0, 0, false },
	{ "login: ", "login: ", 7, 7, false },
	{ "one\r\ntwo", "two", 3, 3, false },
	{ "done\n", "", 0, 0, false },
	{ "\r", "\r", 0, 0, false },
	{ "50%\r75%", "50%\r75%", 3, 3, false },
	{ "abc\b\b", "abc\b\b", 1, 3, false },
	{ "\b", "\b", 0, 0, false },
	{ "a\tb", "a\tb", 9, 9, false },
	{ "\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9", 3, 3, false },
	{ "\033[1;32mroot\033[0m# ", "\033[1;32mroot\033[0m# ", 6, 6, false },
	{ "ab\033[D\033[K", "ab\033[D\033[K", 1, 2, false },
	{ "ab\033[3C", "ab\033[3C", 5, 5, false },
	{ "abcdef\033[3G", "abcdef\033[3G", 2, 6, false },
	{ "# \033[6n", "# ", 2, 2, false },			/* busybox' question where the cursor is */
	{ "\033[?2004h$ ", "$ ", 2, 2, false },
	{ "\033]0;a title\a$ ", "$ ", 2, 2, false },
	{ "\033]0;a title\033\\$ ", "$ ", 2, 2, false },
	{ "ding\a", "ding", 4, 4, false },
	{ "\033[2J\033[H", "", 0, 0, true },
	{ "\033[2Jx\nnew", "new", 3, 3, false },
	{ "\0337x", "x", 1, 1, true },
};

/* At once and byte by byte. */
static void test_rows(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(rows) * 2; i++) {
		const char *said = rows[i / 2].said, *again = rows[i / 2].again;
		struct partial partial = { .len = 0 };
		size_t piece = i % 2 ? 1 : strlen(said);

		for (size_t at = 0; at < strlen(said); at += piece)
			partial_feed(&partial, said + at, piece);
		assert_int_equal(partial.is_lost, rows[i / 2].is_lost);
		assert_int_equal(partial.column, rows[i / 2].column);
		assert_int_equal(partial.width, rows[i / 2].width);
		if (partial.is_lost)
			continue;
		assert_int_equal(partial.len, strlen(again));
		assert_memory_equal(partial.text, again, partial.len);
	}
}

static void test_too_long(void **unused)
{
	struct partial partial = { .len = 0 };

	(void)unused;
	for (size_t i = 0; i < sizeof(partial.text); i++)
		partial_feed(&partial, "x", 1);
	assert_false(partial.is_lost);
	partial_feed(&partial, "\033[9999999999999999999999999999", 30);
	partial_feed(&partial, "C", 1);
	assert_true(partial.is_lost);
	partial_feed(&partial, "\n", 1);
	assert_false(partial.is_lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows), cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests_name("partial", tests, NULL, NULL);
}
