/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The size of the terminal's window, told among the typed bytes as Telnet does: IAC SB NAWS, columns and rows
 * in 16 bits each, IAC SE (RFC 1073 "Telnet Window Size Option", RFC 854 "Telnet Protocol Specification").
 * IAC, 255, is in no UTF-8 text and on no key; one that is meant comes doubled. A terminal that says
 * nothing loses nothing. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window {
	uint16_t cols, rows;		/* 0: not told */
	unsigned state;
	size_t   len;			/* of what came so far */
	uint8_t  size[4];
};

/* Takes what is about the window out of bytes, in place: *len shrinks. True: cols and rows were told anew. */
bool window_filter(struct window *window, uint8_t *bytes, size_t *len);
