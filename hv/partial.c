/* SPDX-License-Identifier: MIT */
/*
 * The attached guest's unfinished line (contract in partial.h). Sequences after ECMA-48, 5.4 "Control sequences": CSI,
 * parameters, one final byte; a string (OSC and the like) ends with BEL or ESC \.
 */
#include "hv/partial.h"

#include "hv/lib/ansi.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define BEL		'\a'

enum { IN_TEXT, AFTER_ESCAPE, IN_CONTROL, IN_STRING };

/* Final bytes: colour, erase in line, cursor right, left, to column, delete and insert characters. */
static const char within_line[] = "mKCDGP@";
/* Modes and questions: nothing of them is seen on the line. */
static const char unseen[] = "hlncqu";

static bool is_one_of(char c, const char *set)
{
	for (; *set; set++)
		if (*set == c)
			return true;
	return false;
}

static void keep(struct partial *partial, char c)
{
	if (partial->len < sizeof(partial->text))
		partial->text[partial->len++] = c;
	else
		partial->is_lost = true;
}

static void move_to(struct partial *partial, size_t column)
{
	partial->column = column;
	partial->width = max_size(partial->width, column);
}

/* The number of CSI n C: 1 when it is left out. */
static size_t parameter(const struct partial *partial)
{
	size_t number = 0;

	for (size_t i = partial->start + 2; i < partial->len && partial->text[i] >= '0' && partial->text[i] <= '9'; i++)
		number = min_size(number * 10 + (size_t)(partial->text[i] - '0'), sizeof(partial->text));
	return max_size(number, 1);
}

static void end_control(struct partial *partial, char final)
{
	size_t number = parameter(partial);

	partial->state = IN_TEXT;
	if (is_one_of(final, unseen)) {
		partial->len = partial->start;
		return;
	}
	if (!is_one_of(final, within_line)) {
		partial->is_lost = true;
		return;
	}
	keep(partial, final);
	if (final == 'C')
		move_to(partial, partial->column + number);
	else if (final == 'D')
		move_to(partial, partial->column - min_size(partial->column, number));
	else if (final == 'G')
		move_to(partial, number - 1);
}

static void take_text(struct partial *partial, char c)
{
	bool is_inside = ((unsigned char)c & 0xc0) == 0x80;	/* a later byte of a UTF-8 character: counted already */

	if (c == ANSI_ESCAPE) {
		partial->start = partial->len;
		partial->state = AFTER_ESCAPE;
		keep(partial, c);
	} else if (c == '\r' || c == '\b' || c == '\t' || (unsigned char)c >= ' ') {
		keep(partial, c);
		if (c == '\r')
			move_to(partial, 0);
		else if (c == '\b')
			move_to(partial, partial->column - (partial->column > 0));
		else if (c == '\t')
			move_to(partial, (partial->column / ANSI_TAB_WIDTH + 1) * ANSI_TAB_WIDTH);
		else if (!is_inside)
			move_to(partial, partial->column + 1);
	}
}

static void take(struct partial *partial, char c)
{
	switch (partial->state) {
	case AFTER_ESCAPE:
		partial->state = c == '[' ? IN_CONTROL : is_one_of(c, "]PX^_") ? IN_STRING : IN_TEXT;
		if (partial->state == IN_CONTROL)
			keep(partial, c);
		else
			partial->len = partial->start;
		partial->is_lost |= partial->state == IN_TEXT;	/* ESC 7, ESC M and the like leave the line */
		break;
	case IN_CONTROL:
		if (c >= '@' && c <= '~')
			end_control(partial, c);
		else
			keep(partial, c);
		break;
	case IN_STRING:
		partial->state = c == BEL || c == '\\' ? IN_TEXT : IN_STRING;
		break;
	default:
		take_text(partial, c);
		break;
	}
}

void partial_feed(struct partial *partial, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			memset(partial, 0, sizeof(*partial));
		else
			take(partial, text[i]);
	}
}
