/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The line on which the attached guest has stopped: its prompt, and what was typed behind it. The terminal
 * keeps a copy, so that it can print other lines above and then draw this one again. Pure.
 *
 * What stays on the line is copied: text, \r, \b, \t, colours, and the control sequences that move or erase
 * within a line. A query to the terminal is not copied, because the terminal would answer it again. A line
 * that the guest leaves (a program draws the whole screen) or that is longer than the copy cannot be drawn
 * again: is_lost is set until the next newline.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct partial {
	char   text[512];
	size_t len;
	size_t column, width;	/* where the cursor is, and how far the line reaches: in characters */
	bool   is_lost;
	unsigned state;
	size_t start;		/* of the control sequence we are in */
};

void partial_feed(struct partial *partial, const char *text, size_t len);
