/* SPDX-License-Identifier: MIT */
#pragma once
/* Cells of 8 by 16 pixels for printable ASCII; everything else looks like '?'. */
#include <stdint.h>

#define FONT_WIDTH	8U
#define FONT_HEIGHT	16U

uint8_t font_row(char c, unsigned line);	/* bit 7 is the left-most pixel */
