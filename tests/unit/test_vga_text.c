/* SPDX-License-Identifier: MIT */
/* The guest's text screen: what a row reads as, and that a dump shows the rows that are not empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/memory_map.h"
#include "hv/vga_text.h"
#include "log_fake.h"
#include "release_all.h"

#define ROW_BYTES	(VGA_TEXT_COLUMNS * VGA_TEXT_CELL)

static void put(uint8_t *cells, unsigned column, const char *text)
{
	for (; *text; text++, column++) {
		cells[column * VGA_TEXT_CELL] = (uint8_t)*text;
		cells[column * VGA_TEXT_CELL + 1] = 0x07;
	}
}

static void rows(void **state)
{
	uint8_t cells[ROW_BYTES] = { 0 };
	char    text[VGA_TEXT_COLUMNS + 1];

	(void)state;
	assert_int_equal(vga_text_row(cells, text), 0);
	assert_string_equal(text, "");
	put(cells, 3, "ab\x01\xff c ");
	assert_int_equal(vga_text_row(cells, text), 9);
	assert_string_equal(text, "   ab.. c");
	put(cells, VGA_TEXT_COLUMNS - 1, "z");
	assert_int_equal(vga_text_row(cells, text), VGA_TEXT_COLUMNS);
	memset(cells, ' ', sizeof(cells));
	assert_int_equal(vga_text_row(cells, text), 0);
}

static void dump(void **state)
{
	uint8_t cells[ROW_BYTES] = { 0 };
	struct gpm gpm = { 0 };

	(void)state;
	log_fake_lines = 0;
	assert_true(vga_text_dump(&gpm, "none", 0));	/* no memory there at all */
	assert_int_equal(log_fake_lines, 0);
	assert_int_equal(gpm_add_slot(&gpm, gpa(0), 0x100000), 0);
	assert_true(vga_text_dump(&gpm, "blank", 0));
	assert_int_equal(log_fake_lines, 0);
	put(cells, 0, "x");
	assert_true(gpm_write(&gpm, gpa(MEMORY_VGA_TEXT), cells, sizeof(cells)));
	assert_true(gpm_write(&gpm, gpa(MEMORY_VGA_TEXT + (VGA_TEXT_ROWS - 1) * ROW_BYTES), cells, sizeof(cells)));
	assert_true(gpm_write(&gpm, gpa(MEMORY_VGA_TEXT + VGA_TEXT_ROWS * ROW_BYTES), cells, sizeof(cells)));
	for (unsigned row = 0; row < VGA_TEXT_ROWS; row++) {
		assert_true(vga_text_dump(&gpm, "two", row));
		assert_int_equal(log_fake_lines, row < VGA_TEXT_ROWS - 1 ? 1 : 2);
	}
	assert_false(vga_text_dump(&gpm, "two", VGA_TEXT_ROWS));	/* the third is behind the screen */
	assert_int_equal(log_fake_lines, 2);
	gpm_destroy(&gpm);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows), cmocka_unit_test(dump) };

	return cmocka_run_group_tests_name("vga_text", tests, NULL, NULL);
}
