/* SPDX-License-Identifier: MIT */
/* drivers/fb.c and font.c on a framebuffer in memory: text goes where a terminal would put it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/paging.h"
#include "clock_fake.h"
#include "drivers/fb.h"
#include "drivers/font.h"
#include "hv/lib/util.h"

#define COLUMNS	20U
#define ROWS	5U
#define WIDTH	(COLUMNS * FONT_WIDTH + 3)	/* some pixels beyond the last column */
#define HEIGHT	(ROWS * FONT_HEIGHT + 5)
#define PITCH	(WIDTH + 8)			/* in pixels */

static uint32_t pixels[HEIGHT * PITCH];

void *paging_map_device(hpa_t start, uint64_t len, int is_write_combining)
{
	assert_int_equal(len, sizeof(pixels));
	assert_true(is_write_combining);
	return (void *)(uintptr_t)start.raw;
}

static char read_cell(uint32_t row, uint32_t column)
{
	for (int c = ' '; c <= '~'; c++) {
		bool is_same = true;

		for (uint32_t y = 0; y < FONT_HEIGHT && is_same; y++)
			for (uint32_t x = 0; x < FONT_WIDTH && is_same; x++) {
				bool ink = pixels[(row * FONT_HEIGHT + y) * PITCH + column * FONT_WIDTH + x] != 0;

				is_same = ink == ((font_row((char)c, y) << x & 0x80) != 0);
			}
		if (is_same)
			return (char)c;
	}
	return 0;
}

static void boot(void)
{
	const struct handoff_framebuffer fb = {
		.base = (uint64_t)(uintptr_t)pixels, .length = sizeof(pixels), .width = WIDTH, .height = HEIGHT,
		.pitch = PITCH * sizeof(uint32_t), .is_bgr = 1,
	};

	memset(pixels, 0xff, sizeof(pixels));
	fb_init(&fb);
}

static void check_screen(const char *const *rows)
{
	for (uint32_t row = 0; row < ROWS; row++)
		for (uint32_t column = 0; column < COLUMNS; column++) {
			size_t len = strlen(rows[row]);

			assert_int_equal(read_cell(row, column), column < len ? rows[row][column] : ' ');
		}
}

static void write_text(const char *text)
{
	fb_write(text, strlen(text));
	fb_flush();
}

static void test_text(void **state)
{
	static const struct { const char *text; const char *rows[ROWS]; } cases[] = {
		{ "", { "", "", "", "", "" } },
		{ "hello", { "hello", "", "", "", "" } },
		{ "one\r\ntwo\r\nthree", { "one", "two", "three", "", "" } },
		{ "a\nb", { "a", " b", "", "", "" } },
		{ "abc\rX", { "Xbc", "", "", "", "" } },
		{ "abc\b\bX", { "aXc", "", "", "", "" } },
		{ "\b\bX", { "X", "", "", "", "" } },
		{ "a\tb", { "a       b", "", "", "", "" } },
		{ "\t\t\t\tX", { "                   X", "", "", "", "" } },
		{ "\033[31mred\033[0m \033[2J\033[10;20Hx\033Mz", { "red xz", "", "", "", "" } },
		{ "0123456789012345678901", { "01234567890123456789", "01", "", "", "" } },
		{ "01234567890123456789\r\nx", { "01234567890123456789", "x", "", "", "" } },
		{ "1\r\n2\r\n3\r\n4\r\n5\r\n6", { "2", "3", "4", "5", "6" } },
		{ "1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n", { "3", "4", "5", "6", "" } },
		{ "\x01\x7f", { "?", "", "", "", "" } },
	};

	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		boot();
		write_text(cases[i].text);
		check_screen(cases[i].rows);
		write_text("");
	}
}

/* The right and lower margins are wiped, memory beyond the pitch is not touched. */
static void test_margins(void **state)
{
	(void)state;
	boot();
	write_text("x");
	for (uint32_t y = 0; y < HEIGHT; y++) {
		assert_int_equal(pixels[y * PITCH + WIDTH - 1], 0);
		assert_int_equal(pixels[y * PITCH + WIDTH], 0xffffffffU);
	}
}

/* A talkative guest: text is drawn at most some times a second. */
static void test_rate(void **state)
{
	(void)state;
	boot();
	fake_now += FAKE_HZ;
	fb_write("a", 1);
	assert_int_equal(read_cell(0, 0), 'a');
	fb_write("b", 1);
	fb_poll();
	assert_int_equal(read_cell(0, 1), ' ');
	fake_now += FAKE_HZ;
	fb_poll();
	assert_int_equal(read_cell(0, 1), 'b');
}

static void test_unusable(void **state)
{
	static const struct handoff_framebuffer bad[] = {
		{ 0 },
		{ .base = 1, .length = 1 << 20, .width = 4, .height = 4, .pitch = 4096 },
		{ .base = 1, .length = 1 << 20, .width = 640, .height = 480, .pitch = 640 },
		{ .base = 1, .length = 1 << 20, .width = 640, .height = 480, .pitch = 2560 },
	};

	(void)state;
	for (size_t i = 0; i < countof(bad); i++) {
		fb_init(&bad[i]);
		fb_write("x", 1);
		fb_poll();
		fb_flush();
	}
}

/* Every printable character has a look of its own. */
static void test_font(void **state)
{
	(void)state;
	for (int c = ' '; c <= '~'; c++) {
		for (int other = ' '; other < c; other++) {
			unsigned same = 0;

			for (unsigned line = 0; line < FONT_HEIGHT; line++)
				same += font_row((char)c, line) == font_row((char)other, line);
			assert_true(same < FONT_HEIGHT);
		}
	}
	assert_int_equal(font_row('\x80', 5), font_row('?', 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_margins), cmocka_unit_test(test_rate),
		cmocka_unit_test(test_unusable), cmocka_unit_test(test_font),
	};

	return cmocka_run_group_tests_name("fb", tests, NULL, NULL);
}
