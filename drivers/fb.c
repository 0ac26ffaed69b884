/* SPDX-License-Identifier: MIT */
/*
 * Text on the linear framebuffer. Two grids of characters: what the screen should show and what it shows;
 * drawing is making the second equal to the first. Scrolling changes only which row of the first grid is the top one:
 * nothing is read back from the framebuffer, which would be very slow, and a thousand printed lines cost a few redraws.
 *
 * A cell takes some 700 ticks to draw, a whole screen ten million. So fb_write, which runs inside exits of guests, only
 * notes what to draw. fb_poll, for the scheduler, draws a few cells and then leaves the processor to others for
 * DRAW_PAUSE times as long; so while much is printed, the screen shows parts of several moments. fb_idle_work, for a
 * processor that has nothing else to do, does not wait. Until the scheduler runs, fb_write draws by itself, so
 * that a user sees how far the start has come.
 *
 * Any processor may write. One processor draws, by fb_poll and when it idles, and the timer is armed and
 * fired there alone. A writer says when that processor must be told: not while it is going to poll anyhow.
 */
#include "drivers/fb.h"

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/host/paging.h"
#include "drivers/font.h"
#include "hv/addr.h"
#include "hv/lib/ansi.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/timer.h"

#define COLUMNS_MAX		240U
#define ROWS_MAX		68U
#define WIDE_SCREEN		2560U	/* pixels; from here on letters are large */
#define DRAWS_PER_SECOND	20U
#define CELLS_A_CALL		64U	/* drawn at most */
#define LOOKS_A_CALL		1024U	/* compared at most */
#define DRAW_PAUSE		8U
#define PAPER			0x00000000U
#define LEFT_PIXEL		0x8000U	/* of a row of the font */

/* The position within an ANSI escape sequence. Sequences are not obeyed and not shown. */
enum escape { TEXT, AFTER_ESC, IN_CSI };

/* Red, green, blue: amber for us, grey for who has the terminal, light blue for the others. */
static const uint8_t inks[FB_SPEAKERS][3] = {
	[FB_HYPERVISOR] = { 0xff, 0xc0, 0x40 },
	[FB_ATTACHED]   = { 0xc8, 0xc8, 0xc8 },
	[FB_OTHERS]     = { 0x70, 0xb0, 0xe0 },
};

struct cell { char c; uint8_t speaker; };

#define GRID_BYTES	(ROWS_MAX * COLUMNS_MAX * sizeof(struct cell))
#define GRIDS_PAGES	(align_up(2 * GRID_BYTES, PAGE_SIZE) / PAGE_SIZE)

static struct {
	volatile uint8_t *pixels;	/* NULL: no screen */
	const struct font *font;
	uint32_t      pitch, columns, rows;
	uint32_t      ink[FB_SPEAKERS];
	enum fb_speaker speaker;
	uint32_t      column, row;
	enum escape   escape;
	bool          is_polled;	/* the scheduler runs */
	uint32_t      top;		/* the row of wanted that is at the top of the screen */
	uint32_t      next;		/* the cell to compare next, counted from the upper left */
	uint32_t      left;		/* how many cells may differ, beginning with `next` and going around */
	uint64_t      draw_at;		/* TSC: not before */
	bool          is_expected;	/* fb_poll: its timer is armed, or a writer was told to have it called */
	struct timer  timer;		/* of the processor that calls fb_poll: the scheduler comes to poll then */
	struct cell (*wanted)[COLUMNS_MAX], (*shown)[COLUMNS_MAX];	/* ROWS_MAX of each */
} screen;

/* Of wanted; row counts from the top of the screen. */
static struct cell *wanted_row(uint32_t row)
{
	row += screen.top;
	return screen.wanted[row < screen.rows ? row : row - screen.rows];
}

static void draw_cell(uint32_t row, uint32_t column, struct cell cell)
{
	uint32_t height = screen.font->height, width = screen.font->width, ink = screen.ink[cell.speaker];

	for (uint32_t y = 0; y < height; y++) {
		size_t line = (size_t)(row * height + y) * screen.pitch;
		volatile uint32_t *to = (volatile uint32_t *)(volatile void *)(screen.pixels + line) + column * width;
		uint32_t bits = font_row(screen.font, cell.c, y);

		for (uint32_t x = 0; x < width; x++)
			to[x] = (bits << x) & LEFT_PIXEL ? ink : PAPER;
	}
	screen.shown[row][column] = cell;
}

static bool is_different(struct cell a, struct cell b)
{
	return a.c != b.c || (a.speaker != b.speaker && a.c != ' ');
}

/* Compare and draw a bounded number of cells: some 60,000 ticks. */
static void draw_some(void)
{
	uint32_t drawn = 0;

	for (uint32_t looks = 0; screen.left > 0 && looks < LOOKS_A_CALL && drawn < CELLS_A_CALL; looks++) {
		uint32_t row = screen.next / screen.columns, column = screen.next % screen.columns;
		struct cell cell = wanted_row(row)[column];

		if (is_different(screen.shown[row][column], cell)) {
			draw_cell(row, column, cell);
			drawn++;
		}
		screen.left--;
		screen.next = screen.next + 1 < screen.rows * screen.columns ? screen.next + 1 : 0;
	}
}

void fb_flush(void)
{
	while (screen.left > 0)
		draw_some();
	screen.draw_at = time_now() + time_hz() / DRAWS_PER_SECOND;
}

bool fb_idle_work(void)
{
	if (!screen.left)
		return false;
	draw_some();
	return true;
}

/*
 * Behind the last cell comes a longer pause: a guest that prints all the time does not have the screen drawn
 * all the time.
 */
bool fb_poll(void)
{
	const uint64_t begin = time_now();

	screen.is_polled = true;
	if (begin >= screen.draw_at) {
		if (!screen.left) {
			screen.is_expected = false;
			return false;
		}
		draw_some();
		screen.draw_at = time_now() + (screen.left ? DRAW_PAUSE * (time_now() - begin) : time_hz() / DRAWS_PER_SECOND);
	}
	screen.is_expected = true;
	timer_arm(&screen.timer, screen.draw_at);
	return true;
}

/* The scheduler polls whenever a timer has fired. */
static void poll_is_due(void *ctx)
{
	(void)ctx;
}

/* Text came: all cells may differ. Returns whether fb_poll must be asked for. */
static bool draw_later(void)
{
	const bool must_ask = screen.is_polled && !screen.is_expected;

	screen.left = screen.rows * screen.columns;
	if (!screen.is_polled && time_now() >= screen.draw_at)
		fb_flush();
	screen.is_expected |= must_ask;
	return must_ask;
}

static void clear_row(struct cell *row)
{
	for (size_t i = 0; i < screen.columns; i++)
		row[i] = (struct cell){ ' ', FB_HYPERVISOR };
}

static void clear(void)
{
	for (size_t row = 0; row < screen.rows; row++) {
		clear_row(screen.wanted[row]);
		clear_row(screen.shown[row]);
	}
}

/* Paint the screen black, because the firmware's text is still on it and the grids do not know of it. */
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
	return fb->base && fb->width >= font_small.width && fb->height >= font_small.height &&
	       fb->pitch / sizeof(uint32_t) >= fb->width && (uint64_t)fb->pitch * fb->height <= fb->length;
}

/* Blue is the lowest byte of a pixel, or red is. */
static void choose_inks(bool is_bgr)
{
	for (size_t i = 0; i < FB_SPEAKERS; i++) {
		uint32_t low = inks[i][is_bgr ? 2 : 0], high = inks[i][is_bgr ? 0 : 2];

		screen.ink[i] = high << 16 | (uint32_t)inks[i][1] << 8 | low;
	}
}

void fb_init(const struct handoff_framebuffer *fb)
{
	timer_disarm(&screen.timer);
	page_free_contiguous(screen.wanted, GRIDS_PAGES);
	memset(&screen, 0, sizeof(screen));
	timer_init(&screen.timer, poll_is_due, NULL);
	if (!is_usable(fb))
		return;
	screen.wanted = page_alloc_contiguous(GRIDS_PAGES);
	if (!screen.wanted)
		return;
	screen.shown = screen.wanted + ROWS_MAX;
	screen.font = fb->width >= WIDE_SCREEN ? &font_large : &font_small;
	choose_inks(fb->is_bgr);
	screen.pitch = fb->pitch;
	screen.columns = (uint32_t)min_u64(fb->width / screen.font->width, COLUMNS_MAX);
	screen.rows = (uint32_t)min_u64(fb->height / screen.font->height, ROWS_MAX);
	screen.pixels = paging_map_device(hpa(fb->base), fb->length, true);
	clear();
	wipe(fb);
}

static void next_row(void)
{
	if (++screen.row < screen.rows)
		return;
	screen.row = screen.rows - 1;
	screen.top = screen.top + 1 < screen.rows ? screen.top + 1 : 0;
	clear_row(wanted_row(screen.row));
}

static void put_printable(char c)
{
	if (screen.column == screen.columns) {	/* wrap late: a full line and its newline are one line */
		screen.column = 0;
		next_row();
	}
	wanted_row(screen.row)[screen.column++] = (struct cell){ c, (uint8_t)screen.speaker };
}

/* The second byte and the following of a character in UTF-8: it has one cell, in which the first is shown. */
static bool is_inside_character(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
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
		screen.column = (uint32_t)min_u64((screen.column / ANSI_TAB_WIDTH + 1) * ANSI_TAB_WIDTH, screen.columns - 1);
	} else if ((unsigned char)c >= ' ' && !is_inside_character(c)) {
		put_printable(c);
	}
}

/* CSI ends with a byte from @ to ~; other sequences are one byte long (ECMA-48, 5.4 "Control sequences"). */
static void feed(char c)
{
	if (c == ANSI_ESCAPE)
		screen.escape = AFTER_ESC;
	else if (screen.escape == AFTER_ESC)
		screen.escape = c == '[' ? IN_CSI : TEXT;
	else if (screen.escape == IN_CSI)
		screen.escape = c >= '@' && c <= '~' ? TEXT : IN_CSI;
	else
		put_char(c);
}

bool fb_write(enum fb_speaker speaker, const char *text, size_t len)
{
	if (!screen.pixels || len == 0)
		return false;
	screen.speaker = speaker;
	for (size_t i = 0; i < len; i++)
		feed(text[i]);
	return draw_later();
}
