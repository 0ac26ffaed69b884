/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's terminal. Three kinds of text meet here: log lines, the attached VM's raw output, other
 * VMs' output as whole lines. Rules:
 *   - a log line always begins at the left edge: when the attached guest stopped in the middle of a line,
 *     the line is ended first;
 *   - log output is never refused: when the transmit ring is full it waits for the wire;
 *   - guest output is never waited for: the port takes what fits, keeps the rest at the guest and calls it
 *     back when there is room. Log text always finds LOG_RESERVE bytes that guests cannot fill;
 *   - in another VM's line, control characters are shown as '.': they cannot move the cursor of a terminal
 *     that is attached to someone else.
 * Lines end in \r\n on the wire. What is typed goes to the attached VM, less what window.h understands. One processor:
 * no lock.
 */
#include "hv/console.h"

#include "drivers/fb.h"
#include "drivers/uart16550.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/vm.h"
#include "hv/window.h"

#define PORTS_MAX	(HANDOFF_VMS_MAX * 4U)
#define INPUT_SIZE	256U
#define LOG_RESERVE	1024U
#define ROOM_AGAIN	2048U		/* call writers back when this much is free: not for every byte */

static struct {
	bool                 is_ready, is_mid_line;
	struct console_port *ports[PORTS_MAX];
	size_t               port_count;
	struct vm           *attached;
	uint8_t              input[INPUT_SIZE];	/* typed, not yet taken by the guest */
	size_t               input_len;
	struct window        window;
} console;

/* ---- Output ---- */

static void emit(const char *text, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)text;

	fb_write(text, len);
	while (len > 0) {
		size_t taken = serial_write(bytes, len);

		bytes += taken;
		len -= taken;
		if (len > 0)
			serial_drain();
	}
}

static void log_sink(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	console_write(text, len);
}

void console_init(const struct handoff_framebuffer *fb)
{
	(void)serial_init();
	fb_init(fb);
	console.is_ready = true;
	log_tail(LOG_TAIL_ALL, log_sink, NULL);
}

bool console_is_ready(void)
{
	return console.is_ready;
}

void console_write(const char *text, size_t len)
{
	if (!console.is_ready || len == 0)
		return;
	if (console.is_mid_line)
		emit("\r\n", 2);
	while (len > 0) {
		size_t line = 0;

		while (line < len && text[line] != '\n')
			line++;
		emit(text, line);
		console.is_mid_line = line == len;
		if (line < len) {
			emit("\r\n", 2);
			line++;
		}
		text += line;
		len -= line;
	}
}

void console_flush(void)
{
	serial_drain();
	fb_flush();
}

/* ---- Guest streams ---- */

/* The attached VM's consoles are as large as the terminal in which they are shown. */
static void tell_window(const struct console_port *port)
{
	if (port->vm == console.attached && console.window.cols && port->front.resize)
		port->front.resize(port->front.dev, console.window.cols, console.window.rows);
}

static void tell_all_window(void)
{
	for (size_t i = 0; i < console.port_count; i++)
		tell_window(console.ports[i]);
}

void console_port_add(struct console_port *port)
{
	if (console.port_count == PORTS_MAX) {
		log_warn("[%s] %s has no place on the console", port->vm->name, port->label);
		return;
	}
	port->was_full = false;
	port->line_len = 0;
	console.ports[console.port_count++] = port;
	tell_window(port);
}

/* Not by way of the log: a talkative guest must not push our own words out of its ring. */
static void end_line(struct console_port *port)
{
	char text[HANDOFF_NAME_MAX + sizeof(port->line) + 4];
	size_t len = format_buf(text, sizeof(text), "[%s] %.*s\n", port->vm->name, (int)port->line_len, port->line);

	console_write(text, min_size(len, sizeof(text) - 1));
	port->line_len = 0;
}

void console_port_remove(struct console_port *port)
{
	size_t kept = 0, siblings = 0;

	if (port->line_len > 0)
		end_line(port);
	for (size_t i = 0; i < console.port_count; i++) {
		if (console.ports[i] == port)
			continue;
		siblings += console.ports[i]->vm == port->vm;
		console.ports[kept++] = console.ports[i];
	}
	console.port_count = kept;
	if (console.attached == port->vm && siblings == 0)
		console.attached = NULL;	/* the VM goes away: its address may come back as another one's */
}

static size_t guest_room(void)
{
	size_t room = serial_room();

	return room > LOG_RESERVE ? room - LOG_RESERVE : 0;
}

/* A VM that is not attached: collect, print whole lines. */
static size_t write_lines(struct console_port *port, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && guest_room() > 0; i++) {
		if (data[i] == '\n' || port->line_len == sizeof(port->line))
			end_line(port);
		if (data[i] != '\n' && data[i] != '\r')
			port->line[port->line_len++] = data[i] >= ' ' && data[i] != 0x7f ? (char)data[i] : '.';
	}
	return i;
}

static size_t write_raw(const uint8_t *data, size_t len)
{
	size_t taken = min_size(len, guest_room());

	if (taken > 0) {
		emit((const char *)data, taken);
		console.is_mid_line = data[taken - 1] != '\n';
	}
	return taken;
}

size_t console_port_write(void *ctx, const uint8_t *data, size_t len)
{
	struct console_port *port = ctx;
	bool is_attached = port->vm == console.attached;
	size_t taken = is_attached ? write_raw(data, len) : write_lines(port, data, len);

	if (taken < len)
		port->was_full = true;
	return taken;
}

void console_attach(struct vm *vm)
{
	console.attached = vm;
	tell_all_window();
}

/* ---- The scheduler's turn ---- */

static struct console_port *input_port(void)
{
	for (size_t i = 0; console.attached && i < console.port_count; i++)
		if (console.ports[i]->vm == console.attached && console.ports[i]->input_wanted)
			return console.ports[i];
	return NULL;
}

static void read_wire(void)
{
	uint8_t *bytes = console.input + console.input_len;
	size_t   len = serial_read(bytes, INPUT_SIZE - console.input_len);

	if (window_filter(&console.window, bytes, &len))
		tell_all_window();
	console.input_len += len;
}

/* Typed text waits for the guest in the driver's ring when ours is full, and is lost only when both are. */
static void move_input(void)
{
	struct console_port *port = input_port();
	size_t taken;

	read_wire();
	if (!port || console.input_len == 0)
		return;
	taken = port->front.input(port->front.dev, console.input, console.input_len);
	taken = min_size(taken, console.input_len);
	console.input_len -= taken;
	memmove(console.input, console.input + taken, console.input_len);
}

void console_port_readable(void *port)
{
	if (port == input_port())
		move_input();
}

static void wake_writers(void)
{
	for (size_t i = 0; i < console.port_count && guest_room() >= ROOM_AGAIN; i++) {
		struct console_port *port = console.ports[i];

		if (!port->was_full)
			continue;
		port->was_full = false;
		if (port->front.writable)
			port->front.writable(port->front.dev);
	}
}

void console_poll(void)
{
	move_input();
	wake_writers();
	fb_poll();
}
