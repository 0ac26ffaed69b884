/* SPDX-License-Identifier: MIT */
/*
 * What a terminal sends besides text: keys behind Ctrl-A, the window's size, timing marks, and all that is
 * not quite it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/terminal.h"

#define NAWS_80x24 "\xff\xfa\x1f\0\x50\0\x18\xff\xf0"

static const struct {
	const char *bytes;
	size_t      len;
	const char *text;
	unsigned    cols, rows, marks;
	const char *keys;
} rows[] = {
#define ROW(bytes, text, cols, rows) { (bytes), sizeof(bytes) - 1, (text), (cols), (rows), 0, "" }
#define KEYS(bytes, text, marks, keys) { (bytes), sizeof(bytes) - 1, (text), 0, 0, (marks), (keys) }
	ROW("", "", 0, 0),
	ROW("ls\r", "ls\r", 0, 0),
	ROW("\xc3\xa9\x1b[A", "\xc3\xa9\x1b[A", 0, 0),
	ROW(NAWS_80x24, "", 80, 24),
	ROW("l" NAWS_80x24 "s", "ls", 80, 24),
	ROW(NAWS_80x24 "\xff\xfa\x1f\1\0\0\x30\xff\xf0", "", 256, 48),		/* the last one counts */
	ROW("\xff\xfa\x1f\0\xff\xff\0\x18\xff\xf0", "", 255, 24),		/* a doubled 255 in it */
	ROW("a\xff\xff" "b", "a\xff" "b", 0, 0),
	ROW("\xff" "ab", "ab", 0, 0),						/* noise */
	ROW("\xff\xf1" "ab", "ab", 0, 0),					/* another command: NOP */
	ROW("\xff\xfa\x01" "ab", "ab", 0, 0),					/* another option */
	ROW("\xff\xfa\x1f\0\x50\0\xff\xf0" "ab", "ab", 0, 0),			/* too short */
	ROW("\xff\xfa\x1f\0\x50\0\x18\1" "ab", "ab", 0, 0),			/* too long: text again */
	ROW("\xff\xfa\x1f\0\x50\0\x18\xff\xff" "ab", "ab", 0, 0),
	ROW("\xff\xfa\x1f\0\x50\0\x18\xff\xf1" "ab", "ab", 0, 0),		/* no SE */
	KEYS("a\x01wb", "ab", 0, "w"),
	KEYS("\x01\x01\x01?\x01n", "\x01", 0, "?n"),
	KEYS("\x01\xff\xffx", "x", 0, "\xff"),				/* no such key, noise, text */
	KEYS("ab\xff\xfd\x06" "c", "abc", 1, ""),
	KEYS("\xff\xfd\x06\xff\xfd\x06", "", 2, ""),
	KEYS("\xff\xfd\x07" "ab", "ab", 0, ""),				/* another option */
#undef KEYS
#undef ROW
};

static void test_rows(void **unused)
{
	(void)unused;
	for (size_t row = 0; row < countof(rows); row++) {
		struct terminal terminal = { 0 };
		char text[64], keys[8] = "";
		size_t kept = 0, marks = 0, pressed = 0;
		bool is_told = false;

		for (size_t at = 0; at < rows[row].len; at++) {
			const uint8_t byte = (uint8_t)rows[row].bytes[at];
			const enum terminal_event event = terminal_take(&terminal, byte);

			if (event == TERMINAL_TEXT)
				text[kept++] = (char)byte;
			if (event == TERMINAL_KEY)
				keys[pressed++] = (char)byte;
			marks += event == TERMINAL_MARK;
			is_told |= event == TERMINAL_RESIZED;
		}
		assert_int_equal(kept, strlen(rows[row].text));
		assert_memory_equal(text, rows[row].text, kept);
		assert_string_equal(keys, rows[row].keys);
		assert_int_equal(marks, rows[row].marks);
		assert_int_equal(is_told, rows[row].cols != 0);
		assert_int_equal(terminal.cols, rows[row].cols);
		assert_int_equal(terminal.rows, rows[row].rows);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
