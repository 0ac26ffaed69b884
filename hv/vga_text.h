/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The text a guest left where a PC has its screen in text mode: 25 rows of 80 cells at b8000, each a
 * character and its colours. To us it is plain memory; often it is all that a kernel said before it died.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/gpm.h"

#define VGA_TEXT_ROWS		25U
#define VGA_TEXT_COLUMNS	80U
#define VGA_TEXT_CELL		2U

/* One row as text, what is not ASCII as a dot, without the blanks at its end. Returns the length: 0 is an empty row. */
size_t vga_text_row(const uint8_t cells[VGA_TEXT_COLUMNS * VGA_TEXT_CELL], char text[VGA_TEXT_COLUMNS + 1]);

/* The row as a log line `NAME: screen NAME: text`, unless it is empty. False: there are fewer rows. */
bool vga_text_dump(struct gpm *gpm, const char *name, unsigned row);
