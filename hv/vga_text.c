/* SPDX-License-Identifier: MIT */
/* The guest's text screen, read from its memory (contract in vga_text.h). */
#include "hv/vga_text.h"

#include "hv/log.h"
#include "hv/memory_map.h"

#define FIRST_PRINTABLE	0x20U
#define LAST_PRINTABLE	0x7eU

/* A cell that nobody wrote is zero, not a blank. */
static char printable(uint8_t code)
{
	if (!code)
		return ' ';
	return code >= FIRST_PRINTABLE && code <= LAST_PRINTABLE ? (char)code : '.';
}

size_t vga_text_row(const uint8_t cells[VGA_TEXT_COLUMNS * VGA_TEXT_CELL], char text[VGA_TEXT_COLUMNS + 1])
{
	size_t len = 0;

	for (size_t i = 0; i < VGA_TEXT_COLUMNS; i++) {
		text[i] = printable(cells[i * VGA_TEXT_CELL]);
		if (text[i] != ' ')
			len = i + 1;
	}
	text[len] = '\0';
	return len;
}

bool vga_text_dump(struct gpm *gpm, const char *name, unsigned row)
{
	uint8_t cells[VGA_TEXT_COLUMNS * VGA_TEXT_CELL];
	char    text[VGA_TEXT_COLUMNS + 1];

	if (row >= VGA_TEXT_ROWS)
		return false;
	if (gpm_read(gpm, gpa(MEMORY_VGA_TEXT + row * sizeof(cells)), cells, sizeof(cells)) && vga_text_row(cells, text))
		log_info("%s: screen %s: %s", name, name, text);
	return true;
}
