/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a terminal sends besides text, taken out of the typed bytes one at a time. Pure.
 *
 * Keys. Ctrl-A (01h) begins a command to the hypervisor; the next byte says which (hv/console_input.c has
 * the table). Ctrl-A Ctrl-A is one Ctrl-A for the guest.
 *
 * Window. The size is told as Telnet does: IAC SB NAWS, columns and rows in 16 bits each, IAC SE (RFC 1073
 * "Telnet Window Size Option", RFC 854 "Telnet Protocol Specification"). IAC is byte 255, which occurs in
 * no UTF-8 text and which no key sends; a 255 that is meant as data is sent twice. A terminal that sends no
 * size still works.
 *
 * Flow. A program that types faster than a person, as scripts/run does when somebody pastes, must not
 * outrun the 16 bytes that a 16550 holds. It sends TERMINAL_WINDOW bytes at most (with so many the port
 * interrupts at once, and does not wait for more), the last three of which are IAC DO TIMING-MARK (RFC 860
 * "Telnet Timing Mark Option"), and waits for the answer. We answer, when we have taken all that came
 * before, IAC WILL TIMING-MARK: go on; or IAC WONT TIMING-MARK: the guest does not read, send no text
 * (commands may come) until we say IAC GA ("go ahead", RFC 854). The answer overtakes output that waits for
 * the wire. Nothing is doubled in that direction: of what guests write, FFh does not go out (console.c shows it
 * as '.'), so each answer is ours. A real terminal knows none of this; it has RTS and CTS (drivers/uart16550.c).
 */
#include <stddef.h>
#include <stdint.h>

#define TERMINAL_WINDOW	14U

enum { TELNET_SE = 240, TELNET_GA = 249, TELNET_SB = 250, TELNET_WILL = 251, TELNET_WONT = 252, TELNET_DO = 253,
       TELNET_IAC = 255 };
enum { TELNET_TIMING_MARK = 6, TELNET_NAWS = 31 };

struct terminal {
	uint16_t cols, rows;		/* 0: not told */
	unsigned state;
	size_t   len;			/* of what came so far */
	uint8_t  size[4];
};

enum terminal_event {
	TERMINAL_NOTHING,	/* in the middle of something, or noise */
	TERMINAL_TEXT,		/* this byte is for the guest */
	TERMINAL_KEY,		/* this byte came behind Ctrl-A */
	TERMINAL_RESIZED,	/* cols and rows were told anew */
	TERMINAL_MARK,		/* wants an answer */
};

enum terminal_event terminal_take(struct terminal *terminal, uint8_t byte);
