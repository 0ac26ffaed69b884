/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The hypervisor's terminal: serial port and framebuffer for output, serial port for input, shared between
 * our log and the guests. One VM at most is attached: its output goes out raw and it gets the input. The
 * output of other VMs is kept until a line is complete, and printed as "[name] line".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/chardev.h"

struct vm;

void console_init(const struct handoff_framebuffer *fb);	/* becomes a sink of the log */
void console_poll(void);	/* from the scheduler: input to the attached guest, "room again" to fronts, the screen */
bool console_idle_work(void);	/* a little of what can wait until nobody runs: the screen; false when nothing is left */

/* A guest stream (its UART, its virtio console). input_wanted: this one gets the typed characters when attached. */
struct console_port {
	struct vm        *vm;		/* whose it is; only compared, never looked into */
	const char       *vm_name;
	const char       *label;	/* "ttyS0", "hvc0", "e9" */
	bool              input_wanted;
	struct char_front front;
	bool              has_spoken;
	bool              was_full;	/* refused bytes, and is to be called back */
	size_t            share;	/* bytes it may still write before it is another VM's turn */
	size_t            line_len;
	uint8_t           utf8_lead, utf8_left;	/* of that line: the byte that began a sequence, until it goes on; how many follow */
	char              line[160];
};
void console_port_add(struct console_port *port);
void console_port_remove(struct console_port *port);
size_t console_port_write(void *port, const uint8_t *data, size_t len);	/* matches char_back.write */
void console_port_readable(void *port);		/* matches char_back.readable */

void console_on_where(void (*where)(void));	/* called for Ctrl-A w */
bool console_has_heard(const struct vm *vm);	/* has it said anything since it was started? */
void console_attach(struct vm *vm);	/* NULL: nobody */
void console_offer_first(void);		/* when nobody is attached: say how to type to a VM */
