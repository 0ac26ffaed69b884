/* SPDX-License-Identifier: MIT */
#pragma once
/* Two sizes of the screen font: printable ASCII; everything else looks like '?'. */
#include <stdint.h>

struct font {
	uint32_t width, height;		/* of a cell, in pixels */
	const uint16_t *rows;		/* `height` of them for each character */
};

extern const struct font font_small, font_large;

uint16_t font_row(const struct font *font, char c, uint32_t line);	/* bit 15 is the left-most pixel */
