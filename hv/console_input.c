/* SPDX-License-Identifier: MIT */
/*
 * The terminal's input: bytes from the wire, less what terminal.h understands, go to the attached VM. Text that the
 * guest does not take waits here, and when there is no room here either, the sender is told to wait (terminal.h,
 * drivers/uart16550.c). What was typed for one VM is never given to another.
 */
#include "hv/console_parts.h"

#include "drivers/uart16550.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/terminal.h"

#define INPUT_SIZE	4096U		/* power of two */

/* head and tail count bytes for ever; the difference is what waits. */
static struct {
	uint8_t         text[INPUT_SIZE];
	size_t          head, tail;
	bool            owes_go;	/* the sender was told to wait, and must be told when it may go on */
	uint8_t         key;		/* pressed behind Ctrl-A, to be obeyed in the scheduler's turn; 0: none */
	struct terminal terminal;
} input;

static size_t input_room(void)
{
	return INPUT_SIZE - (input.head - input.tail);
}

/* ---- The window ---- */

/* The attached VM's consoles are as large as the terminal in which they are shown. */
void console_input_tell_window(const struct console_port *port)
{
	const struct terminal *terminal = &input.terminal;

	if (port->vm == console_streams.attached && terminal->cols && port->front.resize)
		port->front.resize(port->front.dev, terminal->cols, terminal->rows);
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
	if (input.head != input.tail)
		log_say("%zu typed bytes that nobody has read are forgotten", input.head - input.tail);
	input.tail = input.head;
}

static void press_next(void)
{
	const struct console_port *next = console_next();

	if (!next) {
		log_say("there is no other VM to type to");
		return;
	}
	console_input_forget();
	console_attach(next->vm);
	log_say("what you type goes to VM \"%s\" (%s) now", next->vm_name, next->label);
}

void console_offer_first(void)
{
	const struct console_port *first = console_streams.attached ? NULL : console_next();

	if (first)
		log_say("what you type goes to nobody: Ctrl-A n types to VM \"%s\"", first->vm_name);
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

static void press_help(void)
{
	const struct console_port *port = input_port();

	if (port)
		log_say("what you type goes to VM \"%s\" (%s)", port->vm_name, port->label);
	else
		log_say("what you type goes to nobody");
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

/* ---- From the wire to the guest ---- */

static void answer_mark(void)
{
	bool has_room = input_room() >= TERMINAL_WINDOW;
	const uint8_t answer[] = { TELNET_IAC, has_room ? TELNET_WILL : TELNET_WONT, TELNET_TIMING_MARK };

	input.owes_go |= !has_room;
	serial_answer(answer, sizeof(answer));
}

/* Tell a waiting sender to go on, but only when there is room for more than a few bytes. */
static void let_go_on(void)
{
	static const uint8_t go[] = { TELNET_IAC, TELNET_GA };

	if (!input.owes_go || input_room() < INPUT_SIZE / 2)
		return;
	input.owes_go = false;
	serial_answer(go, sizeof(go));
}

static void take(uint8_t byte)
{
	switch (terminal_take(&input.terminal, byte)) {
	case TERMINAL_TEXT:
		input.text[input.head++ % INPUT_SIZE] = byte;
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

static void feed_guest(void)
{
	struct console_port *port = input_port();

	while (port && input.head != input.tail) {
		size_t at = input.tail % INPUT_SIZE;
		size_t piece = min_size(input.head - input.tail, INPUT_SIZE - at);
		size_t taken = min_size(port->front.input(port->front.dev, input.text + at, piece), piece);

		input.tail += taken;
		if (taken < piece)
			break;
	}
	let_go_on();
}

/* Stops at a key of the hypervisor: after it another VM may be attached, and gets the text that follows. */
static void move_input(void)
{
	uint8_t byte;

	while (!input.key && input_room() > 0 && serial_read(&byte, 1))
		take(byte);
	feed_guest();
}

void console_input_poll(void)
{
	move_input();
	while (input.key) {
		press(input.key);
		input.key = 0;
		move_input();
	}
}

/*
 * Called in the middle of a guest's access to its device. Text is moved, but keys must wait for
 * console_poll: obeying them looks at other VMs.
 */
void console_port_readable(void *port)
{
	if (port == input_port())
		move_input();
}
