/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's terminal. Three kinds of text meet here: log lines, the attached VM's output, other
 * VMs' output as whole lines. Rules:
 *   - a line of ours or of another VM never lands in the middle of the attached VM's: it is printed above, and the
 *     attached VM's unfinished line is drawn again behind it (partial.h). One that cannot be drawn again is ended;
 *   - a VM that is attached begins with the line that it began while it was not: the prompt at which it waits. What was
 *     shown before it was left is not drawn again;
 *   - nobody waits for the serial port while guests may run. A quarter of the transmit ring is kept for the log: a few
 *     dumps fit. A log line that finds no room even there is dropped, and a later line says how many were;
 *   - a guest's port takes what fits, leaves the rest with the guest and calls it back when there is room: in which order is
 *     in console_writers.c;
 *   - in another VM's line, control characters are shown as '.': they cannot move the cursor of a terminal
 *     that is attached to someone else. Of the attached VM's own only FFh is.
 * Lines end in \r\n on the wire. Input is in console_input.c.
 *
 * The poll is on the way of each round of the scheduler, and mostly has nothing to do. So whoever makes work for it says that
 * (console_want), and it goes on by itself while something waits for room or is to be drawn.
 *
 * Several processors may put out at once: the log's lock (log_hold) guards all that is put out, for log lines
 * and guests' text meet in the same state here. Functions marked "log held" are called with it. The list of
 * streams, and who is attached, have two locks (console_parts.h).
 */
#include "hv/console_parts.h"

#include <stdatomic.h>

#include "drivers/fb.h"
#include "drivers/uart16550.h"
#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/partial.h"
#include "hv/terminal.h"

#define LINE_EXTRA	(COLUMNS + 8U)	/* what a line may bring along besides its text */
#define UTF8_LATIN1	0xc2U		/* begins the UTF-8 of 80h to BFh; nothing below it begins a sequence */
#define UTF8_LEAD_MAX	0xf4U
#define COLUMNS		80U		/* of a terminal that does not say */
#define END_OF_LINE	2U		/* "\r\n" */
#define RAW_PIECE	64U

static struct {
	bool                 is_patient;	/* no guest runs any more: wait for the serial port, lose nothing */
	bool                 is_handing;	/* a VM was attached, and may have unfinished lines at its ports */
	struct partial       partial;		/* the attached VM's unfinished line... */
	bool                 is_hidden;		/* ...which other lines have covered */
	unsigned             lost;		/* log lines that were dropped since the last line that said so */
	char                 ended[HANDOFF_NAME_MAX];	/* the VM that was attached until it went away, or "" (input's lock) */
	struct processor    *poller;		/* the one that polls: constant */
	_Atomic bool         is_wanted;		/* the poll may have something to do, besides typed bytes: set behind what it is */
} console;

struct console_streams console_streams;

/* ---- Output ---- */

/* Log held. Callers have checked that there is room, except when is_patient is set. */
static void emit(enum fb_speaker speaker, const char *text, size_t len)
{
	const uint8_t *bytes = (const uint8_t *)text;

	log_check_held();
	if (fb_write(speaker, text, len))
		console_call();
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

	console_want();		/* the poll shows what this covers, and says what is lost */
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

	if (!console.lost || (!console.is_patient && serial_room() < CONSOLE_LOG_RESERVE / 2))
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

	console.poller = host_processor();
	(void)serial_init();
	fb_init(fb);
	log_add_sink(&sink);
}

void console_want(void)
{
	console.is_wanted = true;
}

void console_call(void)
{
	console_want();
	if (console.poller == host_processor())
		host_attention_set();
	else
		host_kick(console.poller, KICK_WAKE);
}

/* ---- Guest streams ---- */

void console_port_add(struct console_port *port)
{
	port->wishes = 0;
	port->has_spoken = false;
	port->line_len = 0;
	port->utf8_left = 0;
	console_writer_init(port);
	console_hold();
	if (console_streams.count < CONSOLE_PORTS_MAX) {
		log_hold();
		console_streams.ports[console_streams.count++] = port;
		log_release();
		console_input_tell_window(port);
		console_input_ask_anew();
	} else {
		log_warn("[%s] %s has no place on the console", port->vm_name, port->label);
	}
	console_release();
}

/*
 * Print a VM's line. It does not go through the log: a guest's output must not push log lines out of the log's ring. It is put
 * together by hand, for others may wait for the lock meanwhile, once for each line that guests write.
 */
static void end_line(struct console_port *port)
{
	static const char behind[] = { ']', ' ' };
	char text[HANDOFF_NAME_MAX + sizeof(port->line) + 4];
	const size_t name = min_size(strlen(port->vm_name), HANDOFF_NAME_MAX);
	size_t len = 0;

	text[len++] = '[';
	memcpy(text + len, port->vm_name, name);
	len += name;
	memcpy(text + len, behind, sizeof(behind));
	len += sizeof(behind);
	memcpy(text + len, port->line, port->line_len);
	write_line(FB_OTHERS, text, len + port->line_len);
	port->line_len = 0;
	port->utf8_left = 0;
}

/* Log held. Returns how many other streams of its VM there are. */
static size_t take_off(const struct console_port *port)
{
	size_t kept = 0, siblings = 0;

	for (size_t i = 0; i < console_streams.count; i++) {
		if (console_streams.ports[i] == port)
			continue;
		siblings += console_streams.ports[i]->vm == port->vm;
		console_streams.ports[kept++] = console_streams.ports[i];
	}
	console_streams.count = kept;
	return siblings;
}

/* Both locks held. */
static void remove_port(struct console_port *port)
{
	size_t siblings;

	if (port->line_len > 0)
		end_line(port);
	console_writer_leave(port);
	siblings = take_off(port);
	/* The port of a machine that was never finished has no VM. */
	if (console_streams.attached && console_streams.attached == port->vm && siblings == 0) {
		end_partial();
		console_streams.attached = NULL;	/* the VM is freed, and another one may get its address */
		format_buf(console.ended, sizeof(console.ended), "%s", port->vm_name);
	}
}

void console_port_remove(struct console_port *port)
{
	console_hold();
	log_hold();
	remove_port(port);
	log_release();
	console_input_ask_anew();
	console_call();		/* for a key that waited for it, and for what is to be said about its end */
	console_release();
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

	for (i = 0; i < len && console_guest_room() > 0; i++) {
		if (data[i] == '\n' || port->line_len == sizeof(port->line))
			end_line(port);
		if (data[i] != '\n' && data[i] != '\r')
			port->line[port->line_len++] = tame(port, data[i]);
	}
	return i;
}

/* The byte with which an answer begins (terminal.h) is in no UTF-8 text; a guest's own would be believed. */
static char without_answers(uint8_t byte)
{
	return byte == TELNET_IAC ? '.' : (char)byte;
}

/*
 * As the guest wrote it, but for FFh. A piece at a time, whatever is in it: each call of emit costs some 100 ticks, and
 * the budget of a guest's port counts bytes.
 */
static size_t write_raw(const uint8_t *data, size_t len)
{
	size_t taken = min_size(len, console_guest_room());
	char piece[RAW_PIECE];

	if (taken > 0) {
		show_partial();
		console.is_hidden = false;
	}
	for (size_t at = 0, part; at < taken; at += part) {
		part = min_size(taken - at, sizeof(piece));
		for (size_t i = 0; i < part; i++)
			piece[i] = without_answers(data[at + i]);
		emit(FB_ATTACHED, piece, part);
		partial_feed(&console.partial, piece, part);
	}
	return taken;
}

/*
 * Its VM is attached. What it began to say before, a prompt most often, is drawn, tame as it is, on a line of its own:
 * what comes next goes on from there. False: there is no room for it yet, and nothing may pass it.
 */
static bool hand_over_line(struct console_port *port)
{
	if (!port->line_len)
		return true;
	if (console_guest_room() < sizeof(console.partial.text) + END_OF_LINE + sizeof(port->line))
		return false;
	show_partial();		/* of another stream: it would end unseen */
	end_partial();
	(void)write_raw((const uint8_t *)port->line, port->line_len);
	port->line_len = 0;
	port->utf8_left = 0;
	return true;
}

/*
 * Log held. Who waits with its prompt writes nothing more by itself. The port that is typed to comes last: a VM's
 * virtio console is registered before its serial port, which has the prompt only where that is alone.
 */
static void hand_over_lines(void)
{
	bool is_left = false;

	if (!console.is_handing)
		return;
	for (size_t i = console_streams.count; i--;)
		if (console_streams.ports[i]->vm == console_streams.attached)
			is_left |= !hand_over_line(console_streams.ports[i]);
	console.is_handing = is_left;
}

/* A VM that is attached. */
static size_t write_behind_line(struct console_port *port, const uint8_t *data, size_t len)
{
	return hand_over_line(port) ? write_raw(data, len) : 0;
}

/* Log held. */
static size_t port_write(struct console_port *port, const uint8_t *data, size_t len)
{
	bool is_attached = port->vm == console_streams.attached;
	size_t limit = console_writer_limit(port, len);
	size_t taken = is_attached ? write_behind_line(port, data, limit) : write_lines(port, data, limit);

	port->has_spoken = true;
	console_writer_wrote(port, taken, taken < len);
	return taken;
}

/* Up to the end of a line, which is what costs time. */
static size_t first_line(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] == '\n')
			return i + 1;
	return len;
}

/* A line at a time: others want the lock as well, one of them in the terminal's interrupt. */
size_t console_port_write(void *port, const uint8_t *data, size_t len)
{
	size_t done = 0, line, taken;

	do {
		line = first_line(data + done, len - done);
		log_hold();
		taken = port_write(port, data + done, line);
		log_release();
		done += taken;
	} while (taken == line && done < len);
	return done;
}

void console_port_obey(struct console_port *port)
{
	uint32_t wishes = port->wishes ? atomic_exchange(&port->wishes, 0) : 0;

	if (wishes & WISH_RESIZE)
		console_input_resize(port);
	if (wishes & WISH_INPUT)
		console_input_feed(port);
	if (wishes & WISH_WRITABLE)
		console_writer_resume(port);
}

bool console_has_heard(const struct vm *vm)
{
	bool has_spoken = false;

	log_hold();
	for (size_t i = 0; i < console_streams.count; i++)
		has_spoken |= console_streams.ports[i]->vm == vm && console_streams.ports[i]->has_spoken;
	log_release();
	return has_spoken;
}

void console_attach_held(struct vm *vm)
{
	log_hold();
	end_partial();
	console_streams.attached = vm;
	console.is_handing = true;
	log_release();
	console.ended[0] = '\0';
	for (size_t i = 0; i < console_streams.count; i++)
		console_input_tell_window(console_streams.ports[i]);
	console_input_ask_anew();
}

void console_attach(struct vm *vm)
{
	console_hold();
	console_attach_held(vm);
	console_release();
}

/* ---- The poll ---- */

/*
 * The attached VM has ended: say so, and which VM can be attached next. Done later, from console_poll,
 * because a VM that starts again is attached again, and then nothing must be said.
 */
static void offer_next(void)
{
	const struct console_port *next;

	console_hold();
	next = console.ended[0] ? console_next() : NULL;
	if (next) {
		console_input_forget();
		log_say("VM \"%s\", to which you typed, has ended; Ctrl-A n types to the next, \"%s\"", console.ended,
			next->vm_name);
	}
	console.ended[0] = '\0';
	console_release();
}

/* Log held. Something waits for room, or for a stream that waits for room. */
static bool is_left(void)
{
	return console.lost || console.is_handing || console_writers_wait() || (console.is_hidden && !console.partial.is_lost);
}

/* The flag is cleared first: what others make for it to do meanwhile is done in the next round. */
__attribute__((noinline)) static void poll(void)
{
	console.is_wanted = false;
	offer_next();
	console_input_poll();
	log_hold();
	own_up();
	hand_over_lines();
	console_writers_poll();
	show_partial();
	if (fb_poll() || is_left())
		console_want();
	log_release();
}

/* Nearly each round of the scheduler comes here for nothing. */
void console_poll(void)
{
	if (host_processor() == console.poller && (console.is_wanted || serial_has_input()))
		poll();
}

bool console_idle_work(void)
{
	bool did_something;

	if (host_processor() != console.poller)
		return false;
	log_hold();
	did_something = fb_idle_work();
	log_release();
	return did_something;
}
