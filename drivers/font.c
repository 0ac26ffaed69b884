/* SPDX-License-Identifier: MIT */
/*
 * The screen font: Terminus by Dimitar Zhekov, made for long work at a screen. The build takes it from Debian's package
 * of console fonts (scripts/pins) and makes tables of it (scripts/mkfont).
 */
#include "drivers/font.h"

#include "fonts.h"

const struct font font_small = { SMALL_WIDTH, SMALL_HEIGHT, small_rows[0] };
const struct font font_large = { LARGE_WIDTH, LARGE_HEIGHT, large_rows[0] };

uint16_t font_row(const struct font *font, char c, uint32_t line)
{
	if (c < ' ' || c > '~')
		c = '?';
	return font->rows[(uint32_t)(c - ' ') * font->height + line];
}
