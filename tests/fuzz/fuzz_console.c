/* SPDX-License-Identifier: MIT */
/*
 * Two guests and somebody at the terminal, all of them hostile: typed bytes with Telnet options and keys
 * among them, output with any control sequences, a wire and fronts that take as much as they like. Each byte
 * that is typed as text reaches the attached guest once and in order, or waits; what the terminal would draw
 * again of a guest's line is a line. Input: operations, each a byte and what it takes.
 */
#include <stdlib.h>
#include <string.h>

#include "drivers/fb.h"
#include "drivers/uart16550.h"
#include "hv/console.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/partial.h"
#include "hv/processor.h"
#include "hv/terminal.h"
#include "hv/vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PORTS	3U
#define TEXT_MAX 8192U

static void must(bool is_true)
{
	if (!is_true)
		abort();
}

/* ---- The wire: as much room as the input says; what was typed waits until it is read ---- */

static struct { uint8_t typed[TEXT_MAX]; size_t typed_len; size_t queued, size; } serial;

bool serial_init(void) { return true; }
size_t serial_size(void) { return serial.size; }
size_t serial_room(void) { return serial.size - serial.queued; }
void serial_drain(void) { serial.queued = 0; }
void serial_answer(const uint8_t *bytes, size_t len) { (void)bytes; must(len <= 3); }
void fb_init(const struct handoff_framebuffer *fb) { (void)fb; }
bool fb_poll(void) { return false; }
void fb_flush(void) { }
bool fb_idle_work(void) { return false; }
bool fb_write(enum fb_speaker who, const char *text, size_t len) { (void)who; (void)text; return len % 2; }

size_t serial_write(const uint8_t *bytes, size_t len)
{
	(void)bytes;
	len = min_size(len, serial_room());
	serial.queued += len;
	return len;
}

bool serial_has_input(void) { return serial.typed_len; }

size_t serial_read(uint8_t *bytes, size_t len)
{
	len = min_size(len, serial.typed_len);
	memcpy(bytes, serial.typed, len);
	memmove(serial.typed, serial.typed + len, serial.typed_len - len);
	serial.typed_len -= len;
	return len;
}

/* ---- The guests ---- */

static struct front { size_t room; uint8_t got[TEXT_MAX]; size_t len; } fronts[PORTS];
static struct console_port ports[PORTS];
static struct vm vms[2];

static size_t front_input(void *dev, const uint8_t *bytes, size_t len)
{
	struct front *front = dev;

	len = min_size(min_size(len, front->room), TEXT_MAX - front->len);
	memcpy(front->got + front->len, bytes, len);
	front->len += len;
	front->room -= len;
	return len;
}

static void front_writable(void *dev) { (void)dev; }

/* Turns come when the input says so, or much later. */
static bool ask(struct vm *vm) { work_ask(&vm->work); return vm == &vms[0]; }

static void have_turn(struct vm *vm)
{
	if (!atomic_exchange(&vm->work.is_asked, false))
		return;
	for (unsigned i = 0; i < PORTS; i++)
		if (ports[i].vm == vm)
			console_port_obey(&ports[i]);
}

static struct processor processor;
struct processor *host_processor(void) { return &processor; }
void host_attention_set(void) { }
void host_kick(struct processor *to, enum host_kick what) { (void)to; (void)what; abort(); }
static void front_resize(void *dev, uint16_t cols, uint16_t rows) { (void)dev; must(cols || rows); }

static void build(void)
{
	static const struct handoff_framebuffer none;
	static bool is_built;

	memset(&serial, 0, sizeof(serial));
	memset(fronts, 0, sizeof(fronts));
	serial.size = 8192;
	if (!is_built)
		console_init(&none);
	is_built = true;
	strcpy(vms[0].name, "web");
	strcpy(vms[1].name, "db");
	for (unsigned i = 0; i < PORTS; i++) {
		ports[i] = (struct console_port){
			.vm = &vms[i == 2], .vm_name = vms[i == 2].name, .label = i == 1 ? "ttyS0" : "hvc0", .input_wanted = i != 1, .ask = ask,
			.front = { front_input, front_writable, i == 1 ? NULL : front_resize, &fronts[i] },
		};
		console_port_add(&ports[i]);
	}
	console_attach(&vms[0]);
}

/* ---- What is expected ---- */

static struct terminal model;
static uint8_t  text[TEXT_MAX];
static size_t   text_len;
static bool     has_command;	/* Ctrl-A and a key may attach another guest: then nothing is expected */

static void type(const uint8_t *bytes, size_t len)
{
	len = min_size(len, TEXT_MAX - serial.typed_len);
	memcpy(serial.typed + serial.typed_len, bytes, len);
	serial.typed_len += len;
	for (size_t i = 0; i < len; i++) {
		const uint16_t cols = model.cols, rows = model.rows;
		enum terminal_event event = terminal_take(&model, bytes[i]);

		must(event <= TERMINAL_MARK);
		must(event == TERMINAL_RESIZED || (cols == model.cols && rows == model.rows));
		has_command |= event == TERMINAL_KEY;
		if (event == TERMINAL_TEXT && text_len < TEXT_MAX)
			text[text_len++] = bytes[i];
	}
}

static void check_input(void)
{
	must(has_command || (fronts[0].len <= text_len && memcmp(fronts[0].got, text, fronts[0].len) == 0));
	must(fronts[1].len == 0);
	must(has_command || fronts[2].len == 0);
}

/* A copy of the line stays on the line: no newline, no question, nothing longer than it says. */
static void check_partial(const uint8_t *bytes, size_t len)
{
	static struct partial partial;

	partial_feed(&partial, (const char *)bytes, len);
	must(partial.len <= sizeof(partial.text) && partial.start <= partial.len);
	must(partial.is_lost || (partial.column <= partial.width && !memchr(partial.text, '\n', partial.len)));
}

/* The console lives on: all that still waits is taken, so that the next input begins like the first. */
static void clean_up(void)
{
	static const uint8_t end_of_sequences[] = { 0xff, 0xf1, 'x', 'x', 'x' };

	serial.size = TEXT_MAX;
	for (unsigned i = 0; i < PORTS; i++) {
		fronts[i].room = SIZE_MAX;
		fronts[i].len = 0;
	}
	serial.typed_len = min_size(serial.typed_len, TEXT_MAX - sizeof(end_of_sequences));
	type(end_of_sequences, sizeof(end_of_sequences));
	for (unsigned i = 0, quiet = 0; quiet < 4; i++, quiet = serial.typed_len ? 0 : quiet + 1) {
		serial_drain();
		console_attach(&vms[i % 2]);
		console_port_readable(&ports[i % 2 * 2]);
		have_turn(&vms[i % 2]);
		console_poll();
		fronts[0].len = fronts[2].len = 0;
	}
	for (unsigned i = 0; i < PORTS; i++)
		console_port_remove(&ports[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { TYPE, SAY, ROOM, POLL, WIRE, DRAIN, LOG, ATTACH, TURN, OPERATIONS };

	build();
	memset(&model, 0, sizeof(model));
	text_len = 0;
	has_command = false;
	while (size >= 2) {
		const uint8_t what = data[0] % OPERATIONS, who = data[0] / OPERATIONS % PORTS;
		size_t len = data[1];

		data += 2;
		size -= 2;
		if (what == TYPE || what == SAY) {
			len = min_size(len, size);
			if (what == TYPE)
				type(data, len);
			else
				must(console_port_write(&ports[who], data, len) <= len);
			check_partial(data, len);
			data += len;
			size -= len;
		}
		if (what == ROOM) {
			fronts[who].room += len;
			console_port_readable(&ports[who]);
		}
		if (what == POLL)
			console_poll();
		if (what == WIRE)
			serial.size = max_u64(len * 16, serial.queued);
		if (what == DRAIN)
			serial_drain();
		if (what == LOG)
			log_info("%zu", len);
		if (what == ATTACH) {
			console_attach(&vms[len % 2]);
			has_command = true;
		}
		if (what == TURN)
			have_turn(&vms[len % 2]);
		check_input();
	}
	clean_up();
	return 0;
}
