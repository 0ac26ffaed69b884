/* SPDX-License-Identifier: MIT */
/* What a terminal says of its window (contract in window.h): a machine of five states, a byte a step. */
#include "hv/window.h"

enum { STATE_TEXT, STATE_COMMAND, STATE_OPTION, STATE_SIZE, STATE_SIZE_IAC };
enum { SE = 240, SB = 250, IAC = 255, NAWS = 31 };

/* A fifth byte: this is no size. What follows is text again, so that noise on a wire costs a few keys, not all. */
static void take_size(struct window *window, uint8_t byte)
{
	window->state = window->len < sizeof(window->size) ? STATE_SIZE : STATE_TEXT;
	if (window->state == STATE_SIZE)
		window->size[window->len++] = byte;
}

/* Behind IAC in the size: doubled it is a byte, else the end, and only four bytes are a size. */
static bool end_size(struct window *window, uint8_t byte)
{
	if (byte == IAC) {
		take_size(window, byte);
		return false;
	}
	window->state = STATE_TEXT;
	if (byte != SE || window->len != sizeof(window->size))
		return false;
	window->cols = (uint16_t)(window->size[0] << 8 | window->size[1]);
	window->rows = (uint16_t)(window->size[2] << 8 | window->size[3]);
	return true;
}

/* True: the byte is text. */
static bool step(struct window *window, uint8_t byte, bool *is_told)
{
	switch (window->state) {
	case STATE_COMMAND:
		window->state = byte == SB ? STATE_OPTION : STATE_TEXT;
		return byte < SE || byte == IAC;
	case STATE_OPTION:
		window->state = byte == NAWS ? STATE_SIZE : STATE_TEXT;
		window->len = 0;
		return false;
	case STATE_SIZE:
		if (byte == IAC)
			window->state = STATE_SIZE_IAC;
		else
			take_size(window, byte);
		return false;
	case STATE_SIZE_IAC:
		*is_told |= end_size(window, byte);
		return false;
	default:
		window->state = byte == IAC ? STATE_COMMAND : STATE_TEXT;
		return byte != IAC;
	}
}

bool window_filter(struct window *window, uint8_t *bytes, size_t *len)
{
	bool   is_told = false;
	size_t kept = 0;

	for (size_t i = 0; i < *len; i++)
		if (step(window, bytes[i], &is_told))
			bytes[kept++] = bytes[i];
	*len = kept;
	return is_told;
}
