/* SPDX-License-Identifier: MIT */
/*
 * The terminal's input: bytes from the wire, less what terminal.h understands, go to the attached VM. Text that the
 * guest does not take waits here, and when there is no room here either, the sender is told to wait (terminal.h,
 * drivers/uart16550.c). What was typed for one VM is never given to another.
 *
 * The processor that polls fills the ring and asks the attached VM, which may run on another processor, to
 * empty it in a turn of its own. The VM is asked when text comes; what it leaves it takes when it can
 * (chardev.h), without being asked. A key waits until the text before it has been offered. The lock is held
 * while the ring changes, and not while a front is called: fronts allocate memory, whose locks come before
 * this one.
 */
#include "hv/console_parts.h"

#include "drivers/uart16550.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/lock.h"
#include "hv/log.h"
#include "hv/terminal.h"

#define INPUT_SIZE	4096U		/* power of two */
#define PIECE_SIZE	128U		/* given to a front in one call: it is copied, because the ring may change meanwhile */

static struct lock lock = { .rank = LOCK_INPUT };

/* head and tail count bytes for ever; the difference is what waits. */
static struct {
	uint8_t         text[INPUT_SIZE];
	size_t          head, tail;
	bool            is_full;	/* bytes may wait at the wire */
	bool            owes_go;	/* the sender was told to wait, and must be told when it may go on */
	bool            is_new;		/* text that the VM has not been asked to take, or a port that has not been asked */
	bool            is_asked;	/* the VM was, and has not taken what it can */
	uint8_t         key;		/* pressed behind Ctrl-A, to be obeyed in the scheduler's turn; 0: none */
	struct terminal terminal;
} input;

void console_hold(void)
{
	lock_take(&lock);
}

void console_release(void)
{
	lock_drop(&lock);
}

/* All functions up to press_next are called with the lock held, but for console_input_resize. */
static size_t input_room(void)
{
	return INPUT_SIZE - (input.head - input.tail);
}

/* ---- The window ---- */

/* The attached VM's consoles are as large as the terminal in which they are shown. */
static bool is_window_of(const struct console_port *port)
{
	return port->vm == console_streams.attached && input.terminal.cols && port->front.resize;
}

void console_input_tell_window(struct console_port *port)
{
	if (is_window_of(port))
		(void)console_leave_word(port, WISH_RESIZE);
}

void console_input_resize(struct console_port *port)
{
	uint16_t cols, rows;
	bool     is_its;

	console_hold();
	is_its = is_window_of(port);
	cols = input.terminal.cols;
	rows = input.terminal.rows;
	console_release();
	if (is_its)
		port->front.resize(port->front.dev, cols, rows);
}

static void tell_all_window(void)
{
	for (size_t i = 0; i < console_streams.count; i++)
		console_input_tell_window(console_streams.ports[i]);
}

/* ---- Keys behind Ctrl-A ---- */

/* Where typed text goes; NULL: nobody is attached, or takes any. */
static struct console_port *input_port(void)
{
	const struct console_streams *streams = &console_streams;

	for (size_t i = 0; streams->attached && i < streams->count; i++)
		if (streams->ports[i]->vm == streams->attached && streams->ports[i]->input_wanted)
			return streams->ports[i];
	return NULL;
}

const struct console_port *console_next(void)
{
	const struct console_streams *streams = &console_streams;
	size_t start = 0;

	for (size_t i = 0; i < streams->count; i++)
		if (streams->ports[i]->vm == streams->attached)
			start = i + 1;
	for (size_t i = 0; i < streams->count; i++) {
		const struct console_port *port = streams->ports[(start + i) % streams->count];

		if (port->input_wanted && port->vm != streams->attached)
			return port;
	}
	return NULL;
}

void console_input_forget(void)
{
	const size_t unread = input.head - input.tail;

	if (unread == 1)
		log_say("1 typed byte that nobody has read is forgotten");
	else if (unread)
		log_say("%zu typed bytes that nobody has read are forgotten", unread);
	input.tail = input.head;
}

void console_input_ask_anew(void)
{
	input.is_new = true;
	input.is_asked = false;
	console_want();
}

static void attach_next(void)
{
	const struct console_port *next = console_next();

	if (!next) {
		log_say("there is no other VM to type to");
		return;
	}
	console_input_forget();
	console_attach_held(next->vm);
	log_say("what you type goes to VM \"%s\" (%s) now", next->vm_name, next->label);
}

/* The functions that a key calls, and those that others call, are not held: each takes the lock for itself. */
static void press_next(void)
{
	console_hold();
	attach_next();
	console_release();
}

void console_offer_first(void)
{
	const struct console_port *first;

	console_hold();
	first = console_streams.attached ? NULL : console_next();
	if (first)
		log_say("what you type goes to nobody: Ctrl-A n types to VM \"%s\"", first->vm_name);
	console_release();
}

static void (*tell_where)(void);

void console_on_where(void (*where)(void))
{
	tell_where = where;
}

static void press_where(void)
{
	if (tell_where)
		tell_where();
}

static void press_help(void);

/* A row for each key; README.md lists them, too. press_help adds the two that are not looked up here. */
static const struct { char key; void (*press)(void); const char *help; } keys[] = {
	{ '?', press_help, "these lines" },
	{ 'n', press_next, "type to the next VM" },
	{ 'w', press_where, "where every guest is, and what it waits for" },
};

static void say_who_listens(void)
{
	const struct console_port *port;

	console_hold();
	port = input_port();
	if (port)
		log_say("what you type goes to VM \"%s\" (%s)", port->vm_name, port->label);
	else
		log_say("what you type goes to nobody");
	console_release();
}

static void press_help(void)
{
	say_who_listens();
	for (size_t i = 0; i < countof(keys); i++)
		log_say("  Ctrl-A %c       %s", keys[i].key, keys[i].help);
	log_say("  Ctrl-A Ctrl-A  one Ctrl-A for the guest");
	log_say("  Ctrl-A x       in scripts/run: leave");
}

static void press(uint8_t key)
{
	for (size_t i = 0; i < countof(keys); i++)
		if (keys[i].key == (char)key) {
			keys[i].press();
			return;
		}
	log_say("Ctrl-A and that key mean nothing; Ctrl-A ? lists the keys");
}

/* ---- From the wire to the ring, on the processor that polls. Held ---- */

static void answer_mark(void)
{
	bool has_room = input_room() >= TERMINAL_WINDOW;
	const uint8_t bytes[] = { TELNET_IAC, has_room ? TELNET_WILL : TELNET_WONT, TELNET_TIMING_MARK };

	input.owes_go |= !has_room;
	serial_answer(bytes, sizeof(bytes));
}

/* Enough for those who wait: it is not done for a few bytes. */
static bool is_half_empty(void)
{
	return input_room() >= INPUT_SIZE / 2;
}

/* Tell a waiting sender to go on. */
static void let_go_on(void)
{
	static const uint8_t go[] = { TELNET_IAC, TELNET_GA };

	if (!input.owes_go || !is_half_empty())
		return;
	input.owes_go = false;
	serial_answer(go, sizeof(go));
}

static void take(uint8_t byte)
{
	switch (terminal_take(&input.terminal, byte)) {
	case TERMINAL_TEXT:
		input.text[input.head++ % INPUT_SIZE] = byte;
		input.is_new = true;
		break;
	case TERMINAL_KEY:
		input.key = byte;
		break;
	case TERMINAL_RESIZED:
		tell_all_window();
		break;
	case TERMINAL_MARK:
		answer_mark();
		break;
	default:
		break;
	}
}

/* Stops at a key of the hypervisor: after it another VM may be attached, and gets the text that follows. */
static void read_wire(void)
{
	uint8_t byte;

	while (!input.key && input_room() > 0 && serial_read(&byte, 1))
		take(byte);
	input.is_full = !input_room();
}

/* A VM that takes no turns now is not waited for: it finds the word that was left when it takes some. */
static void ask_guest(void)
{
	struct console_port *port = input_port();

	if (!port || !input.is_new || input.head == input.tail)
		return;
	input.is_new = false;
	input.is_asked = console_leave_word(port, WISH_INPUT);
}

/* A key that is to be obeyed now; 0: none. */
static uint8_t next_key(void)
{
	uint8_t key = 0;

	console_hold();
	read_wire();
	ask_guest();
	let_go_on();
	if (!input.is_asked) {
		key = input.key;
		input.key = 0;
	}
	console_release();
	return key;
}

void console_input_poll(void)
{
	uint8_t key;

	while ((key = next_key()))
		press(key);
}

/* ---- From the ring to the guest, in a turn of its VM ---- */

/* Copy what comes next, as far as it lies in one piece. `at` names its place, in bytes since ever. */
static size_t look_ahead(const struct console_port *port, uint8_t *piece, size_t *at)
{
	size_t len = 0;

	console_hold();
	*at = input.tail;
	if (port == input_port()) {
		len = min_size(min_size(input.head - *at, INPUT_SIZE - *at % INPUT_SIZE), PIECE_SIZE);
		memcpy(piece, input.text + *at % INPUT_SIZE, len);
	}
	console_release();
	return len;
}

/*
 * The guest took so much of what was at that place. The text may have been forgotten meanwhile, and the place
 * with it. Held.
 */
static void remove_taken(const struct console_port *port, size_t at, size_t offered, size_t taken)
{
	if (input.tail == at)
		input.tail += taken;
	if ((offered && taken == offered) || port != input_port())
		return;
	if (!offered && input.head != input.tail)
		return;		/* it came behind the look, and so did the word that asks for it */
	input.is_asked = false;
	if (input.key || ((input.is_full || input.owes_go) && is_half_empty()))
		console_call();
}

void console_input_feed(struct console_port *port)
{
	uint8_t piece[PIECE_SIZE];
	bool    is_last;

	do {
		size_t at, len = look_ahead(port, piece, &at);
		size_t taken = len ? min_size(port->front.input(port->front.dev, piece, len), len) : 0;

		is_last = !len || taken < len;
		console_hold();
		remove_taken(port, at, len, taken);
		console_release();
	} while (!is_last);
}

/* Called in the middle of a guest's access to its device. */
void console_port_readable(void *port)
{
	console_input_feed(port);
}
