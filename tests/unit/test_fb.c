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
#include "hv/timer.h"

#define COLUMNS	20U
#define ROWS	5U
#define FONT_WIDTH	8U
#define FONT_HEIGHT	16U
#define WIDTH	(COLUMNS * FONT_WIDTH + 3)	/* some pixels beyond the last column */
#define HEIGHT	(ROWS * FONT_HEIGHT + 5)
#define PITCH	(WIDTH + 8)			/* in pixels */

static uint32_t pixels[2560 * 32];

void *paging_map_device(hpa_t start, uint64_t len, int is_write_combining)
{
	assert_true(len <= sizeof(pixels));
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

				is_same = ink == ((font_row(&font_small, (char)c, y) << x & 0x8000) != 0);
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
	fb_write(FB_ATTACHED, text, strlen(text));
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
	fb_write(FB_ATTACHED, "a", 1);
	assert_int_equal(read_cell(0, 0), 'a');
	fb_write(FB_ATTACHED, "b", 1);
	fb_poll();
	assert_int_equal(read_cell(0, 1), ' ');
	fake_now += FAKE_HZ;
	fb_poll();
	assert_int_equal(read_cell(0, 1), 'b');
}

static unsigned drawn(char c)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		count += read_cell(i / COLUMNS, i % COLUMNS) == c;
	return count;
}

/*
 * Once the scheduler polls, text is only noted where it is written, which may be inside an exit. The screen
 * follows a piece at a time: with pauses while others want the processor, and a timer that sees to it that
 * somebody polls.
 */
static void test_pieces(void **state)
{
	char text[ROWS * COLUMNS];

	(void)state;
	boot();
	fb_poll();
	for (char c = 'a'; c <= 'b'; c++) {
		memset(text, c, sizeof(text));
		fake_now += FAKE_HZ;
		assert_true(fb_write(FB_ATTACHED, text, sizeof(text)));
		assert_int_equal(drawn(c), 0);
		for (unsigned before = 0; drawn(c) < sizeof(text); before = drawn(c)) {
			if (c == 'a')
				assert_true(fb_idle_work());
			else
				fb_poll();
			assert_in_range(drawn(c), before + 1, before + 64);
			if (c == 'b' && drawn(c) < sizeof(text))
				assert_int_equal(timer_next(), fake_now);	/* the clock stands still, so no pause */
			timer_run_due();
		}
		assert_false(fb_idle_work());
		if (c == 'a')
			fb_poll();
	}
	assert_int_equal(timer_next(), fake_now + FAKE_HZ / 20);
	fake_now = timer_next();
	timer_run_due();
	fb_poll();
	assert_int_equal(timer_next(), TIMER_NEVER);
}

/*
 * Whoever writes may be another processor than the one that polls: it arms no timer, and is told to have the
 * poll called, once, until the poll has found nothing to draw. A guest that prints all the time asks at most
 * 20 times a second.
 */
static void test_writer_asks_for_the_poll(void **state)
{
	(void)state;
	boot();
	fb_poll();
	fake_now += FAKE_HZ;
	assert_false(fb_write(FB_ATTACHED, "", 0));
	assert_true(fb_write(FB_ATTACHED, "a", 1));
	assert_false(fb_write(FB_ATTACHED, "b", 1));
	assert_int_equal(timer_next(), TIMER_NEVER);
	fb_poll();
	assert_int_equal(drawn('b'), 1);
	assert_int_equal(timer_next(), fake_now + FAKE_HZ / 20);
	assert_false(fb_write(FB_ATTACHED, "c", 1));
	fake_now = timer_next() - 1;
	fb_poll();
	assert_int_equal(drawn('c'), 0);
	fake_now++;
	timer_run_due();
	fb_poll();
	assert_int_equal(drawn('c'), 1);
	fake_now = timer_next();
	timer_run_due();
	fb_poll();
	assert_int_equal(timer_next(), TIMER_NEVER);
	assert_true(fb_write(FB_ATTACHED, "d", 1));
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
		fb_write(FB_ATTACHED, "x", 1);
		fb_poll();
		fb_flush();
	}
}

/* Each speaker's ink, with blue or red in the lowest byte as the firmware says; blanks are not drawn for it again. */
static void test_colours(void **state)
{
	struct handoff_framebuffer fb = {
		.base = (uint64_t)(uintptr_t)pixels, .length = sizeof(pixels), .width = WIDTH, .height = HEIGHT,
		.pitch = PITCH * sizeof(uint32_t),
	};
	static const uint32_t rgb[FB_SPEAKERS] = { 0x0040c0ff, 0x00c8c8c8, 0x00e0b070 };
	static const uint32_t bgr[FB_SPEAKERS] = { 0x00ffc040, 0x00c8c8c8, 0x0070b0e0 };

	(void)state;
	for (fb.is_bgr = 0; fb.is_bgr < 2; fb.is_bgr++) {
		fb_init(&fb);
		for (uint32_t i = 0; i < FB_SPEAKERS; i++) {
			fb_write(i, "|\r\n", 3);
			fb_flush();
			for (uint32_t at = 0; at < FONT_WIDTH; at++) {
				uint32_t pixel = pixels[(i * FONT_HEIGHT + FONT_HEIGHT / 2) * PITCH + at];

				assert_true(pixel == 0 || pixel == (fb.is_bgr ? bgr[i] : rgb[i]));
			}
			assert_int_equal(read_cell(i, 0), '|');
			fb_write(FB_HYPERVISOR, "|\r", 2);	/* the next row: another speaker takes the cell... */
			fb_flush();				/* ...which is drawn */
		}
	}
}

/* Every printable character has a look of its own, in both sizes, and two bytes of UTF-8 are one cell. */
static void test_font(void **state)
{
	static const struct font *const fonts[] = { &font_small, &font_large };

	(void)state;
	for (size_t i = 0; i < countof(fonts); i++)
		for (int c = ' '; c <= '~'; c++)
			for (int other = ' '; other < c; other++) {
				uint32_t same = 0;

				for (uint32_t line = 0; line < fonts[i]->height; line++)
					same += font_row(fonts[i], (char)c, line) == font_row(fonts[i], (char)other, line);
				assert_true(same < fonts[i]->height);
			}
	assert_int_equal(font_row(&font_small, '\x80', 5), font_row(&font_small, '?', 5));
	boot();
	write_text("\xc3\xa9t\xc3\xa9");
	check_screen((const char *const[ROWS]){ "?t?", "", "", "", "" });
}

/* A screen of 2,560 columns of pixels has letters of 16 by 32. */
static void test_large(void **state)
{
	const struct handoff_framebuffer fb = {
		.base = (uint64_t)(uintptr_t)pixels, .length = sizeof(pixels), .width = 2560, .height = 32,
		.pitch = 2560 * sizeof(uint32_t),
	};

	(void)state;
	fb_init(&fb);
	write_text("ab");
	for (uint32_t y = 0; y < 32; y++)
		for (uint32_t x = 0; x < 32; x++) {
			uint16_t row = font_row(&font_large, x < 16 ? 'a' : 'b', y);

			assert_int_equal(pixels[y * 2560 + x] != 0, (row << x % 16 & 0x8000) != 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text), cmocka_unit_test(test_margins), cmocka_unit_test(test_rate), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_writer_asks_for_the_poll),
		cmocka_unit_test(test_unusable), cmocka_unit_test(test_font),
		cmocka_unit_test(test_colours), cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests_name("fb", tests, NULL, NULL);
}
