/* SPDX-License-Identifier: MIT */
/*
 * Text on the linear framebuffer. Two grids of characters: what the screen should show and what it shows;
 * drawing is making the second equal to the first. So scrolling copies characters, not pixels (reading a
 * framebuffer back is slower than anything), and a guest that prints a thousand lines costs a few redraws:
 * fb_poll draws at most DRAWS_PER_SECOND times a second, fb_flush at once.
 */
#include "drivers/fb.h"

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/host/paging.h"
#include "drivers/font.h"
#include "hv/addr.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/timer.h"

#define COLUMNS_MAX		240U
#define ROWS_MAX		68U
#define TAB_WIDTH		8U
#define WIDE_SCREEN		1920U	/* pixels; beyond half as much again, cells are doubled */
#define DRAWS_PER_SECOND	20U
#define INK			0x00c8c8c8U	/* the same in RGB and BGR */
#define PAPER			0x00000000U
#define ESCAPE			'\033'

/* Where we are in an ANSI escape sequence, all of which are swallowed. */
enum escape { TEXT, AFTER_ESC, IN_CSI };

static struct {
	volatile uint8_t *pixels;	/* NULL: no screen */
	uint32_t      pitch, scale, columns, rows;
	uint32_t      column, row;
	enum escape   escape;
	bool          is_changed;
	uint64_t      drawn_at;		/* TSC */
	char          wanted[ROWS_MAX][COLUMNS_MAX], shown[ROWS_MAX][COLUMNS_MAX];
} screen;

static void draw_cell(uint32_t row, uint32_t column)
{
	char c = screen.wanted[row][column];
	uint32_t height = FONT_HEIGHT * screen.scale, width = FONT_WIDTH * screen.scale;

	for (uint32_t y = 0; y < height; y++) {
		size_t line = (size_t)(row * height + y) * screen.pitch;
		volatile uint32_t *to = (volatile uint32_t *)(volatile void *)(screen.pixels + line) + column * width;
		uint8_t bits = font_row(c, y / screen.scale);

		for (uint32_t x = 0; x < width; x++)
			to[x] = (bits << (x / screen.scale)) & 0x80 ? INK : PAPER;
	}
	screen.shown[row][column] = c;
}

void fb_flush(void)
{
	if (!screen.pixels || !screen.is_changed)
		return;
	for (uint32_t row = 0; row < screen.rows; row++)
		for (uint32_t column = 0; column < screen.columns; column++)
			if (screen.shown[row][column] != screen.wanted[row][column])
				draw_cell(row, column);
	screen.is_changed = false;
	screen.drawn_at = time_now();
}

void fb_poll(void)
{
	if (screen.is_changed && time_now() - screen.drawn_at > time_hz() / DRAWS_PER_SECOND)
		fb_flush();
}

static void clear(void)
{
	memset(screen.wanted, ' ', sizeof(screen.wanted));
	memset(screen.shown, ' ', sizeof(screen.shown));
}

/* The firmware's text is still there: black first, then the grids are true. */
static void wipe(const struct handoff_framebuffer *fb)
{
	for (uint32_t y = 0; y < fb->height; y++) {
		volatile uint8_t *line = screen.pixels + (size_t)y * fb->pitch;

		for (uint32_t x = 0; x < fb->width; x++)
			((volatile uint32_t *)(volatile void *)line)[x] = PAPER;
	}
}

static bool is_usable(const struct handoff_framebuffer *fb)
{
	return fb->base && fb->width >= FONT_WIDTH && fb->height >= FONT_HEIGHT &&
	       fb->pitch / sizeof(uint32_t) >= fb->width && (uint64_t)fb->pitch * fb->height <= fb->length;
}

void fb_init(const struct handoff_framebuffer *fb)
{
	memset(&screen, 0, sizeof(screen));
	if (!is_usable(fb))
		return;
	screen.scale = (uint32_t)max_u64((fb->width + WIDE_SCREEN / 2 - 1) / WIDE_SCREEN, 1);
	screen.pitch = fb->pitch;
	screen.columns = (uint32_t)min_u64(fb->width / (FONT_WIDTH * screen.scale), COLUMNS_MAX);
	screen.rows = (uint32_t)min_u64(fb->height / (FONT_HEIGHT * screen.scale), ROWS_MAX);
	screen.pixels = paging_map_device(hpa(fb->base), fb->length, true);
	clear();
	wipe(fb);
}

static void next_row(void)
{
	if (++screen.row < screen.rows)
		return;
	screen.row = screen.rows - 1;
	memmove(screen.wanted[0], screen.wanted[1], (screen.rows - 1) * sizeof(screen.wanted[0]));
	memset(screen.wanted[screen.row], ' ', sizeof(screen.wanted[0]));
}

static void put_printable(char c)
{
	if (screen.column == screen.columns) {	/* wrap late: a full line and its newline are one line */
		screen.column = 0;
		next_row();
	}
	screen.wanted[screen.row][screen.column++] = c;
}

static void put_char(char c)
{
	if (c == '\n') {
		next_row();
	} else if (c == '\r') {
		screen.column = 0;
	} else if (c == '\b') {
		screen.column -= screen.column > 0;
	} else if (c == '\t') {
		screen.column = (uint32_t)min_u64((screen.column / TAB_WIDTH + 1) * TAB_WIDTH, screen.columns - 1);
	} else if ((unsigned char)c >= ' ') {
		put_printable(c);
	}
}

/* CSI ends with a byte from @ to ~; other sequences are one byte long (ECMA-48, 5.4 "Control sequences"). */
static void feed(char c)
{
	if (c == ESCAPE)
		screen.escape = AFTER_ESC;
	else if (screen.escape == AFTER_ESC)
		screen.escape = c == '[' ? IN_CSI : TEXT;
	else if (screen.escape == IN_CSI)
		screen.escape = c >= '@' && c <= '~' ? TEXT : IN_CSI;
	else
		put_char(c);
}

void fb_write(const char *text, size_t len)
{
	if (!screen.pixels || len == 0)
		return;
	for (size_t i = 0; i < len; i++)
		feed(text[i]);
	screen.is_changed = true;
	fb_poll();
}
