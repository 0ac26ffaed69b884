/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the terminal's two halves share: console.c puts out, console_input.c takes in. For nobody else.
 *
 * The streams are written with both locks held, that of the input (console_hold) and the log's: whoever holds
 * one of the two may read them, and no port goes away meanwhile. "Held" is said of functions that are called
 * with the input's lock.
 */
#include "hv/console.h"

#define CONSOLE_PORTS_MAX	(HANDOFF_VMS_MAX * 4U)

struct console_streams {
	struct console_port *ports[CONSOLE_PORTS_MAX];
	size_t               count;
	struct vm           *attached;
};
extern struct console_streams console_streams;

/* What a front is to be called for, in a turn of its VM. */
enum console_wish {
	WISH_RESIZE   = 1 << 0,
	WISH_INPUT    = 1 << 1,
	WISH_WRITABLE = 1 << 2,
};

/* While the port cannot go away. False: its VM takes no turns now. */
static inline bool console_leave_word(struct console_port *port, enum console_wish wish)
{
	port->wishes |= wish;		/* first: the turn may be under way on another processor */
	return port->ask(port->vm);
}

void console_want(void);		/* console_poll has something to do in its next round */
void console_call(void);		/* have console_poll called soon; from any processor, whatever it holds */
void console_attach_held(struct vm *vm);

/* console_writers.c; with the log's lock, but for console_writer_resume. */
#define CONSOLE_LOG_RESERVE	(serial_size() / 4)	/* of the transmit ring: for log lines alone */
size_t console_guest_room(void);
void console_writer_init(struct console_port *port);
size_t console_writer_limit(const struct console_port *port, size_t len);	/* of so many bytes, how many it may write now */
void console_writer_wrote(struct console_port *port, size_t taken, bool is_refused);
void console_writer_leave(struct console_port *port);	/* it goes away */
void console_writer_resume(struct console_port *port);	/* in a turn of its VM: it was called back */
void console_writers_poll(void);
bool console_writers_wait(void);

/* console_input.c */
void console_hold(void);
void console_release(void);
void console_input_poll(void);		/* read the wire, obey keys, leave word for the attached guest; not held, like the next two */
void console_input_feed(struct console_port *port);	/* in a turn of its VM: give it what was typed for it */
void console_input_resize(struct console_port *port);	/* likewise: tell it the size of the window */
void console_input_forget(void);	/* held: what was typed for a VM that is not attached any more */
void console_input_tell_window(struct console_port *port);	/* held */
void console_input_ask_anew(void);	/* held: another port may take the text now */
const struct console_port *console_next(void);	/* held; takes input, behind the attached VM's in a circle; NULL: no other VM */
