/* SPDX-License-Identifier: MIT */
/*
 * A paste from end to end: somebody who types as scripts/typist.py does, a 16550 that overruns, the driver,
 * the console, a guest. Interrupts come late by chance, the guest reads now and then, and all 35,000 bytes
 * arrive in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/console_parts.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/terminal.h"
#include "serial_chip.h"

#define TOTAL	35000U

struct console_streams console_streams;

void console_attach_held(struct vm *vm) { (void)vm; }

/* The guest is asked to take what waits; who polls is called. */
static bool is_asked, is_called;
static bool ask(struct vm *vm) { (void)vm; return is_asked = true; }
void console_want(void) { }
void console_call(void) { is_called = true; }
void log_say(const char *fmt, ...) { (void)fmt; fail(); }

static uint8_t pasted(size_t at)
{
	return (uint8_t)(at * 89 + at / 256);		/* every byte there is, IAC and Ctrl-A too */
}

/* ---- The guest: takes so many bytes, and looks at them ---- */

static size_t guest_room, guest_got;

static size_t guest_input(void *dev, const uint8_t *data, size_t len)
{
	(void)dev;
	len = min_size(len, guest_room);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(data[i], pasted(guest_got++));
	guest_room -= len;
	return len;
}

/* ---- Who types: at most a window, then the answer is waited for ---- */

static struct { size_t sent, heard; bool is_asked, is_held; unsigned holds; } typist;

static void hear(void)
{
	while (typist.heard < chip.tx_len) {
		const uint8_t *answer = &chip.tx[typist.heard];

		assert_int_equal(answer[0], TELNET_IAC);
		if (answer[1] == TELNET_GA) {
			assert_true(typist.is_held);
			typist.is_held = false;
			typist.heard += 2;
			continue;
		}
		assert_true(typist.is_asked && answer[2] == TELNET_TIMING_MARK);
		typist.is_asked = false;
		typist.is_held = answer[1] == TELNET_WONT;
		typist.holds += typist.is_held;
		typist.heard += 3;
	}
}

static void type(void)
{
	static const uint8_t mark[] = { TELNET_IAC, TELNET_DO, TELNET_TIMING_MARK };
	size_t room = TERMINAL_WINDOW - sizeof(mark);

	hear();
	if (typist.is_asked || typist.is_held || typist.sent == TOTAL)
		return;
	while (room >= 2 && typist.sent < TOTAL) {
		uint8_t byte = pasted(typist.sent++);
		bool    is_doubled = byte == TELNET_IAC || byte == 0x01;

		for (int i = 0; i <= is_doubled; i++, room--)
			wire_in(byte);
	}
	for (size_t i = 0; i < sizeof(mark); i++)
		wire_in(mark[i]);
	typist.is_asked = true;
}

static void test_paste(void **state)
{
	static struct console_port guest = { .input_wanted = true, .ask = ask, .front = { .input = guest_input } };

	(void)state;
	srand(1);
	chip_start();
	guest.vm = console_streams.attached = (struct vm *)(void *)&guest;
	console_streams.ports[console_streams.count++] = &guest;
	for (unsigned step = 0; guest_got < TOTAL; step++) {
		assert_true(step < 1000000);
		type();
		if (rand() % 4 == 0)
			chip_interrupt();
		if (is_called || rand() % 4 == 0) {
			is_called = false;
			console_input_poll();
		}
		if (step > 20000 && (is_asked || rand() % 3 == 0)) {	/* it starts late */
			is_asked = false;
			guest_room = (size_t)rand() % 17;
			console_port_readable(&guest);
		}
	}
	assert_int_equal(chip.overruns, 0);
	assert_int_equal(guest_got, TOTAL);
	assert_true(typist.holds > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_paste) };

	return cmocka_run_group_tests_name("paste", tests, NULL, NULL);
}
