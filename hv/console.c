/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's terminal. Three kinds of text meet here: log lines, the attached VM's raw output, other
 * VMs' output as whole lines. Rules:
 *   - a line of ours or of another VM never lands in the middle of the attached VM's: it is printed above, and the
 *     attached VM's unfinished line is drawn again behind it (partial.h). One that cannot be drawn again is ended;
 *   - nobody waits for the serial port while guests may run. A quarter of the transmit ring is kept for the log: a few
 *     dumps fit. A log line that finds no room even there is dropped, and a later line says how many were;
 *   - a guest's port takes what fits, leaves the rest with the guest and calls it back when there is room. While
 *     several wait, each VM may write SHARE bytes in its turn;
 *   - in another VM's line, control characters are shown as '.': they cannot move the cursor of a terminal
 *     that is attached to someone else.
 * Lines end in \r\n on the wire. Input is in console_input.c.
 *
 * Several processors may put out at once: the log's lock (log_hold) guards all that is put out, for log lines and guests'
 * text meet in the same state here. Functions marked "held" are called with it.
 */
#include "hv/console_parts.h"

#include "drivers/fb.h"
#include "drivers/uart16550.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/partial.h"

#define LINE_EXTRA	(COLUMNS + 8U)	/* what a line may bring along besides its text */
#define ROOM_AGAIN	2048U		/* call writers back when this much is free: not for every byte */
#define LOG_RESERVE	(serial_size() / 4)
#define UTF8_LATIN1	0xc2U		/* begins the UTF-8 of 80h to BFh; nothing below it begins a sequence */
#define UTF8_LEAD_MAX	0xf4U
#define COLUMNS		80U		/* of a terminal that does not say */
#define SHARE		4096U		/* bytes of a VM before the next one's turn, while several wait */

static struct {
	bool                 is_patient;	/* no guest runs any more: wait for the serial port, lose nothing */
	struct partial       partial;		/* the attached VM's unfinished line... */
	bool                 is_hidden;		/* ...which other lines have covered */
	unsigned             lost;		/* log lines that were dropped since the last line that said so */
	size_t               waiting;		/* ports that were refused */
	size_t               next_writer;	/* index of the port whose turn it is */
	char                 ended[HANDOFF_NAME_MAX];	/* the VM that was attached until it went away, or "" */
} console;

struct console_streams console_streams;

/* ---- Output ---- */

/* Held. Callers have checked that there is room, except when is_patient is set. */
static void emit(enum fb_speaker speaker, const char *text, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)text;

	log_check_held();
	fb_write(speaker, text, len);
	while (len > 0) {
		size_t taken = serial_write(bytes, len);

		bytes += taken;
		len -= taken;
		if (len > 0 && !console.is_patient)
			return;
		if (len > 0)
			serial_drain();
	}
}

static bool is_partial_shown(void)
{
	return !console.is_hidden && (console.partial.width > 0 || console.partial.is_lost);
}

/* Does the unfinished line lie on a single row of the terminal, and is all of it known? */
static bool is_coverable(void)
{
	return !console.partial.is_lost && console.partial.width < COLUMNS;
}

/* A whole line, with or without its newline, from the left edge on. What it covers is wiped with blanks. */
static void write_line(enum fb_speaker speaker, const char *line, size_t len)
{
	static const char blanks[COLUMNS] = "                                                                               ";
	size_t wipe = 0;

	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (!console.is_patient && serial_room() < len + LINE_EXTRA) {
		console.lost++;
		return;
	}
	if (is_partial_shown() && is_coverable()) {
		emit(FB_ATTACHED, "\r", 1);
		wipe = console.partial.width - min_size(console.partial.width, len);
	} else if (is_partial_shown()) {
		emit(FB_ATTACHED, "\r\n", 2);
	}
	console.is_hidden = true;
	emit(speaker, line, len);
	emit(speaker, blanks, wipe);
	emit(FB_ATTACHED, "\r\n", 2);
}

static void show_partial(void)
{
	if (!console.is_hidden || console.partial.is_lost || serial_room() < sizeof(console.partial.text))
		return;
	console.is_hidden = false;
	emit(FB_ATTACHED, console.partial.text, console.partial.len);
}

/* End the attached VM's unfinished line: another VM is attached now, or none. */
static void end_partial(void)
{
	if (is_partial_shown())
		emit(FB_ATTACHED, "\r\n", 2);
	partial_feed(&console.partial, "\n", 1);
	console.is_hidden = false;
}

/* Say how many log lines were dropped, once there is room for more than that one line. */
static void own_up(void)
{
	char text[80];
	size_t len;

	if (!console.lost || (!console.is_patient && serial_room() < LOG_RESERVE / 2))
		return;
	len = format_buf(text, sizeof(text), "trapeze: %u line%s lost here: the terminal is too slow", console.lost,
			 console.lost == 1 ? " was" : "s were");
	console.lost = 0;
	write_line(FB_HYPERVISOR, text, len);
}

static void log_line_shown(const char *line, size_t len)
{
	write_line(FB_HYPERVISOR, line, len);
}

static void console_flush(void)
{
	console.is_patient = true;
	own_up();
	serial_drain();
	fb_flush();
}

void console_init(const struct handoff_framebuffer *fb)
{
	static struct log_sink sink = { .write = log_line_shown, .flush = console_flush };

	(void)serial_init();
	fb_init(fb);
	log_add_sink(&sink);
}

/* ---- Guest streams ---- */

void console_port_add(struct console_port *port)
{
	if (console_streams.count == CONSOLE_PORTS_MAX) {
		log_warn("[%s] %s has no place on the console", port->vm_name, port->label);
		return;
	}
	port->has_spoken = port->was_full = false;
	port->share = SHARE;
	port->line_len = 0;
	port->utf8_left = 0;
	console_streams.ports[console_streams.count++] = port;
	console_input_tell_window(port);
}

/* Print a VM's line. It does not go through the log: a guest's output must not push log lines out of the log's ring. */
static void end_line(struct console_port *port)
{
	char text[HANDOFF_NAME_MAX + sizeof(port->line) + 4];
	size_t len = format_buf(text, sizeof(text), "[%s] %.*s\n", port->vm_name, (int)port->line_len, port->line);

	write_line(FB_OTHERS, text, min_size(len, sizeof(text) - 1));
	port->line_len = 0;
	port->utf8_left = 0;
}

void console_port_remove(struct console_port *port)
{
	size_t kept = 0, siblings = 0;

	log_hold();
	if (port->line_len > 0)
		end_line(port);
	console.waiting -= port->was_full;
	for (size_t i = 0; i < console_streams.count; i++) {
		if (console_streams.ports[i] == port)
			continue;
		siblings += console_streams.ports[i]->vm == port->vm;
		console_streams.ports[kept++] = console_streams.ports[i];
	}
	console_streams.count = kept;
	console.next_writer = 0;
	/* The port of a machine that was never finished has no VM. */
	if (console_streams.attached && console_streams.attached == port->vm && siblings == 0) {
		end_partial();
		console_streams.attached = NULL;	/* the VM is freed, and another one may get its address */
		format_buf(console.ended, sizeof(console.ended), "%s", port->vm_name);
	}
	log_release();
}

static size_t guest_room(void)
{
	size_t room = serial_room();

	return room > LOG_RESERVE ? room - LOG_RESERVE : 0;
}

/*
 * A byte of another VM's line as the terminal may have it. Control characters are also 80h to 9Fh, alone or as UTF-8
 * (C2h 80h to C2h 9Fh), and FFh, which begins a command of Telnet: they are shown as '.', other UTF-8 as it is.
 */
static char tame(struct console_port *port, uint8_t byte)
{
	uint8_t last = port->utf8_lead;

	if (port->utf8_left > 0 && byte >= 0x80 && byte < 0xc0) {
		port->utf8_left--;
		port->utf8_lead = 0;
		return last == UTF8_LATIN1 && byte < 0xa0 ? '.' : (char)byte;
	}
	port->utf8_left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
	port->utf8_lead = byte;
	if (byte >= UTF8_LATIN1 && byte <= UTF8_LEAD_MAX)
		return (char)byte;
	port->utf8_left = 0;
	return byte >= ' ' && byte < 0x7f ? (char)byte : '.';
}

/* A VM that is not attached: collect, print whole lines. */
static size_t write_lines(struct console_port *port, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && guest_room() > 0; i++) {
		if (data[i] == '\n' || port->line_len == sizeof(port->line))
			end_line(port);
		if (data[i] != '\n' && data[i] != '\r')
			port->line[port->line_len++] = tame(port, data[i]);
	}
	return i;
}

static size_t write_raw(const uint8_t *data, size_t len)
{
	size_t taken = min_size(len, guest_room());

	if (taken > 0) {
		show_partial();
		console.is_hidden = false;
		emit(FB_ATTACHED, (const char *)data, taken);
		partial_feed(&console.partial, (const char *)data, taken);
	}
	return taken;
}

/* Held. */
static size_t port_write(struct console_port *port, const uint8_t *data, size_t len)
{
	bool is_attached = port->vm == console_streams.attached;
	size_t limit = console.waiting > port->was_full ? min_size(len, port->share) : len;
	size_t taken = is_attached ? write_raw(data, limit) : write_lines(port, data, limit);

	port->has_spoken = true;
	port->share -= min_size(port->share, taken);
	if (taken < len && !port->was_full) {
		port->was_full = true;
		console.waiting++;
	}
	return taken;
}

size_t console_port_write(void *port, const uint8_t *data, size_t len)
{
	size_t taken;

	log_hold();
	taken = port_write(port, data, len);
	log_release();
	return taken;
}

bool console_has_heard(const struct vm *vm)
{
	for (size_t i = 0; i < console_streams.count; i++)
		if (console_streams.ports[i]->vm == vm && console_streams.ports[i]->has_spoken)
			return true;
	return false;
}

void console_attach(struct vm *vm)
{
	log_hold();
	end_partial();
	console_streams.attached = vm;
	console.ended[0] = '\0';
	log_release();
	for (size_t i = 0; i < console_streams.count; i++)
		console_input_tell_window(console_streams.ports[i]);
}

/* ---- The scheduler's turn ---- */

/* How much each stream of a VM may write in a turn: all streams of a VM together have one share. */
static size_t fair_share(const struct vm *vm)
{
	size_t streams = 0;

	for (size_t i = 0; i < console_streams.count; i++)
		streams += console_streams.ports[i]->vm == vm && console_streams.ports[i]->was_full;
	return SHARE / max_size(streams, 1);
}

static void wake(struct console_port *port)
{
	log_hold();
	port->was_full = false;
	console.waiting--;
	log_release();
	if (port->front.writable)
		port->front.writable(port->front.dev);
}

/*
 * Let waiting ports write, in a circle that begins where it last stopped. A port's turn lasts until its
 * share is used; when the room ends before that, the turn is continued when there is room again. The loop
 * goes around twice, because a share may be used up already.
 */
static void wake_writers(void)
{
	for (size_t i = 0; i < 2 * console_streams.count && console.waiting > 0 && guest_room() >= ROOM_AGAIN; i++) {
		struct console_port *port = console_streams.ports[console.next_writer % console_streams.count];

		if (port->was_full && port->share > 0)
			wake(port);
		if (port->was_full && port->share > 0)
			return;
		port->share = fair_share(port->vm);
		console.next_writer++;
	}
}

/*
 * The attached VM has ended: say so, and which VM can be attached next. Done later, from console_poll,
 * because a VM that starts again is attached again, and then nothing must be said.
 */
static void offer_next(void)
{
	const struct console_port *next = console.ended[0] ? console_next() : NULL;

	if (next) {
		console_input_forget();
		log_say("VM \"%s\", to which you typed, has ended; Ctrl-A n types to the next, \"%s\"", console.ended,
			next->vm_name);
	}
	console.ended[0] = '\0';
}

void console_poll(void)
{
	offer_next();
	console_input_poll();
	log_hold();
	own_up();
	log_release();
	wake_writers();
	log_hold();
	show_partial();
	fb_poll();
	log_release();
}

bool console_idle_work(void)
{
	bool did_something;

	log_hold();
	did_something = fb_idle_work();
	log_release();
	return did_something;
}
