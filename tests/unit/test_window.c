/* SPDX-License-Identifier: MIT */
/* The window's size among typed bytes: RFC 1073, and all that is not quite it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/window.h"

#define NAWS_80x24 "\xff\xfa\x1f\0\x50\0\x18\xff\xf0"

static const struct {
	const char *bytes;
	size_t      len;
	const char *text;
	unsigned    cols, rows;
} rows[] = {
#define ROW(bytes, text, cols, rows) { (bytes), sizeof(bytes) - 1, (text), (cols), (rows) }
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
#undef ROW
};

/* All at once, and byte by byte as a slow wire brings them. */
static void test_filter(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(rows) * 2; i++) {
		const size_t row = i / 2, piece = i % 2 ? 1 : rows[row].len;
		struct window window = { 0 };
		uint8_t text[64];
		size_t kept = 0;
		bool is_told = false;

		for (size_t at = 0; at < rows[row].len; at += piece) {
			size_t len = piece;

			memcpy(text + kept, rows[row].bytes + at, len);
			is_told |= window_filter(&window, text + kept, &len);
			kept += len;
		}
		assert_int_equal(kept, strlen(rows[row].text));
		assert_memory_equal(text, rows[row].text, kept);
		assert_int_equal(is_told, rows[row].cols != 0);
		assert_int_equal(window.cols, rows[row].cols);
		assert_int_equal(window.rows, rows[row].rows);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
