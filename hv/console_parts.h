/* SPDX-License-Identifier: MIT */
#pragma once
/* What the terminal's two halves share: console.c puts out, console_input.c takes in. For nobody else. */
#include "hv/console.h"

#define CONSOLE_PORTS_MAX	(HANDOFF_VMS_MAX * 4U)

struct console_streams {
	struct console_port *ports[CONSOLE_PORTS_MAX];
	size_t               count;
	struct vm           *attached;
};
extern struct console_streams console_streams;

void console_input_poll(void);		/* read the wire, obey keys, hand text to the attached guest */
void console_input_forget(void);	/* what was typed for a VM that is not attached any more */
void console_input_tell_window(const struct console_port *port);
const struct console_port *console_next(void);	/* takes input, behind the attached VM's in a circle; NULL: no other VM */
