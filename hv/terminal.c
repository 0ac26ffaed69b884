/* SPDX-License-Identifier: MIT */
/* The bytes of a terminal (contract in terminal.h): a machine of seven states, a byte a step. */
#include "hv/terminal.h"

#define CTRL_A	0x01

enum { STATE_TEXT, STATE_KEY, STATE_COMMAND, STATE_DO, STATE_OPTION, STATE_SIZE, STATE_SIZE_IAC };

/*
 * A byte of the window's size. A fifth byte means that this was not a size: what follows is text again, so
 * that noise on a serial line swallows a few keys and not all that come after it.
 */
static void take_size(struct terminal *terminal, uint8_t byte)
{
	terminal->state = terminal->len < sizeof(terminal->size) ? STATE_SIZE : STATE_TEXT;
	if (terminal->state == STATE_SIZE)
		terminal->size[terminal->len++] = byte;
}

/*
 * Inside the size sub-option, IAC IAC is one data byte 255; IAC SE ends it. Accept the size only if exactly
 * four bytes came.
 */
static enum terminal_event end_size(struct terminal *terminal, uint8_t byte)
{
	if (byte == TELNET_IAC) {
		take_size(terminal, byte);
		return TERMINAL_NOTHING;
	}
	terminal->state = STATE_TEXT;
	if (byte != TELNET_SE || terminal->len != sizeof(terminal->size))
		return TERMINAL_NOTHING;
	terminal->cols = (uint16_t)(terminal->size[0] << 8 | terminal->size[1]);
	terminal->rows = (uint16_t)(terminal->size[2] << 8 | terminal->size[3]);
	return TERMINAL_RESIZED;
}

/* The byte after IAC. Commands begin at SE (240): for a smaller byte the IAC was noise, and the byte is text. */
static enum terminal_event take_command(struct terminal *terminal, uint8_t byte)
{
	terminal->state = byte == TELNET_SB ? STATE_OPTION : byte == TELNET_DO ? STATE_DO : STATE_TEXT;
	return byte < TELNET_SE || byte == TELNET_IAC ? TERMINAL_TEXT : TERMINAL_NOTHING;
}

static enum terminal_event take_text(struct terminal *terminal, uint8_t byte)
{
	terminal->state = byte == TELNET_IAC ? STATE_COMMAND : byte == CTRL_A ? STATE_KEY : STATE_TEXT;
	return terminal->state == STATE_TEXT ? TERMINAL_TEXT : TERMINAL_NOTHING;
}

enum terminal_event terminal_take(struct terminal *terminal, uint8_t byte)
{
	switch (terminal->state) {
	case STATE_KEY:
		terminal->state = STATE_TEXT;
		return byte == CTRL_A ? TERMINAL_TEXT : TERMINAL_KEY;
	case STATE_COMMAND:
		return take_command(terminal, byte);
	case STATE_DO:
		terminal->state = STATE_TEXT;
		return byte == TELNET_TIMING_MARK ? TERMINAL_MARK : TERMINAL_NOTHING;
	case STATE_OPTION:
		terminal->state = byte == TELNET_NAWS ? STATE_SIZE : STATE_TEXT;
		terminal->len = 0;
		return TERMINAL_NOTHING;
	case STATE_SIZE:
		if (byte == TELNET_IAC)
			terminal->state = STATE_SIZE_IAC;
		else
			take_size(terminal, byte);
		return TERMINAL_NOTHING;
	case STATE_SIZE_IAC:
		return end_size(terminal, byte);
	default:
		return take_text(terminal, byte);
	}
}
