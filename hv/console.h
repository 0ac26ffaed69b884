/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The hypervisor's terminal: serial port and framebuffer for output, serial port for input, shared between
 * our log and the guests. One VM at most is attached: its output goes out as it comes, FFh as '.', and it gets the
 * input. The output of other VMs is kept until a line is complete, and printed as "[name] line".
 *
 * One processor polls it, and VMs may run on others. A guest's front belongs to the VM's own turns: the poll
 * never calls one. It leaves word at the port and asks for a turn of the VM, in which that calls
 * console_port_obey.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/chardev.h"

struct vm;

void console_init(const struct handoff_framebuffer *fb);	/* becomes a sink of the log; this processor will poll */
void console_poll(void);	/* from the scheduler: keys, word for the guests' fronts, the screen; nothing on other processors */
bool console_idle_work(void);	/* the same processor: a little of what can wait until nobody runs, the screen; false: nothing is left */

/* A guest stream (its UART, its virtio console). input_wanted: this one gets the typed characters when attached. */
struct console_port {
	struct vm        *vm;		/* whose it is; compared and given to `ask`, never looked into */
	const char       *vm_name;
	const char       *label;	/* "ttyS0", "hvc0", "e9" */
	bool              input_wanted;
	struct char_front front;
	bool            (*ask)(struct vm *vm);	/* for a turn, from any processor; false: it takes none, because it starts or ends */
	_Atomic uint32_t  wishes;	/* the word that was left: enum console_wish */
	bool              has_spoken;
	bool              was_full;	/* refused bytes, and is to be called back */
	bool              is_called;	/* was called back, and its VM has not had a turn since */
	size_t            share;	/* bytes it may still write while others wait, in this round */
	size_t            line_len;
	uint8_t           utf8_lead, utf8_left;	/* of that line: the byte that began a sequence, until it goes on; how many follow */
	char              line[160];
};
void console_port_add(struct console_port *port);
void console_port_remove(struct console_port *port);
size_t console_port_write(void *port, const uint8_t *data, size_t len);	/* matches char_back.write */
void console_port_readable(void *port);		/* matches char_back.readable; like the next one only in a turn of its VM */
void console_port_obey(struct console_port *port);	/* take the word that was left, and call the front */

void console_on_where(void (*where)(void));	/* called for Ctrl-A w */
bool console_has_heard(const struct vm *vm);	/* has it said anything since it was started? */
void console_attach(struct vm *vm);	/* NULL: nobody */
void console_offer_first(void);		/* when nobody is attached: say how to type to a VM */
