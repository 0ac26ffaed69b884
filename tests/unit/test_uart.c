/* SPDX-License-Identifier: MIT */
/* hv/dev/uart16550.c: what Linux' 8250 driver probes and relies on, and back pressure without losing a byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/dev/uart16550.h"
#include "hv/lib/util.h"
#include "line_fake.h"
#include "port_fake.h"

enum { DATA = 0x3f8, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

struct fixture {
	struct line_fake line;
	struct uart16550 uart;
	struct bus bus;
	char sent[8192];
	size_t sent_len, room;
	unsigned asked;
};

static size_t sink_write(void *ctx, const uint8_t *data, size_t len)
{
	struct fixture *f = ctx;
	size_t taken = min_size(len, f->room);

	memcpy(f->sent + f->sent_len, data, taken);
	f->sent_len += taken;
	f->room -= taken;
	return taken;
}

static void sink_readable(void *ctx)
{
	struct fixture *f = ctx;

	f->asked++;
}

static int setup(void **state)
{
	static struct fixture f;
	struct char_back back = { .write = sink_write, .readable = sink_readable, .ctx = &f };
	struct irq_line irq = line_fake_end(&f.line);

	memset(&f, 0, sizeof(f));
	f.room = sizeof(f.sent);
	bus_init(&f.bus, "ports");
	uart_init(&f.uart, &back, &irq);
	*state = &f;
	return uart_map(&f.uart, &f.bus, DATA);
}

/* serial8250 autoconfig: scratch, loop-back, FIFO bits, no enhanced registers, IER without bits 4 to 7. */
static void test_linux_autoconfig(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, IER, 0);
	assert_int_equal(inb(&f->bus, IER), 0);
	outb(&f->bus, IER, 0x0f);
	assert_int_equal(inb(&f->bus, IER), 0x0f);
	outb(&f->bus, IER, 0xff);
	assert_int_equal(inb(&f->bus, IER), 0x0f);
	outb(&f->bus, IER, 0);
	outb(&f->bus, MCR, 0x1a);
	assert_int_equal(inb(&f->bus, MSR) & 0xf0, 0x90);
	outb(&f->bus, MCR, 0);
	outb(&f->bus, FCR, 0x01);
	assert_int_equal(inb(&f->bus, IIR) >> 6, 3);	/* 16550A */
	outb(&f->bus, LCR, 0x80);
	assert_int_not_equal(inb(&f->bus, IIR), 0);	/* no EFR */
	outb(&f->bus, FCR, 0x21);
	outb(&f->bus, LCR, 0);
	assert_int_equal(inb(&f->bus, IIR) >> 5, 6);	/* no 64-byte FIFO */
	outb(&f->bus, SCR, 0xa5);
	assert_int_equal(inb(&f->bus, SCR), 0xa5);
	outb(&f->bus, LCR, 0x80);
	outb(&f->bus, DATA, 0x01);
	outb(&f->bus, IER, 0x02);
	assert_int_equal(inb(&f->bus, DATA) | inb(&f->bus, IER) << 8, 0x0201);
	outb(&f->bus, LCR, 0x03);
	assert_int_equal(inb(&f->bus, LCR), 0x03);
	assert_int_equal(f->sent_len, 0);
}

/* serial8250_do_startup looks for two bugs: THRE not reported again, and not reported at all. */
static void test_linux_thre_tests(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		outb(&f->bus, IER, 0x02);
		assert_true(f->line.is_high);
		assert_int_equal(inb(&f->bus, IIR) & 0x0f, 0x02);
		assert_false(f->line.is_high);		/* reading it ended it */
		assert_int_equal(inb(&f->bus, IIR) & 0x0f, 0x01);
		outb(&f->bus, IER, 0x00);
	}
	outb(&f->bus, IER, 0x02);
	assert_int_equal(inb(&f->bus, LSR), 0x60);
	assert_int_equal(inb(&f->bus, IIR) & 0x0f, 0x02);
	outb(&f->bus, DATA, 'x');			/* gone at once: THRE again */
	assert_true(f->line.is_high);
	assert_int_equal(inb(&f->bus, IIR) & 0x0f, 0x02);
	assert_int_equal(f->sent[0], 'x');
}

static void test_back_pressure(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, FCR, 0x01);
	outb(&f->bus, IER, 0x02);
	(void)inb(&f->bus, IIR);
	f->room = 4;
	for (int i = 0; i < 16; i++)
		outb(&f->bus, DATA, (uint8_t)('a' + i));
	assert_int_equal(f->sent_len, 4);
	assert_int_equal(inb(&f->bus, LSR) & 0x60, 0);
	assert_false(f->line.is_high);
	f->room = 3;
	uart_writable(&f->uart);
	assert_int_equal(inb(&f->bus, LSR) & 0x60, 0);
	f->room = 100;
	uart_writable(&f->uart);
	assert_int_equal(inb(&f->bus, LSR) & 0x60, 0x60);
	assert_true(f->line.is_high);
	assert_memory_equal(f->sent, "abcdefghijklmnop", 16);
	uart_writable(&f->uart);			/* nothing left: no second interrupt */
	(void)inb(&f->bus, IIR);
	uart_writable(&f->uart);
	assert_false(f->line.is_high);
}

/* A driver that fills the FIFO whenever THRE is set loses nothing, whatever the sink's moods. */
static void test_nothing_lost(void **state)
{
	struct fixture *f = *state;
	unsigned next = 0, seed = 5;

	outb(&f->bus, FCR, 0x01);
	f->room = 0;
	while (next < 4000) {
		if (inb(&f->bus, LSR) & 0x20)
			for (int i = 0; i < 16; i++)
				outb(&f->bus, DATA, (uint8_t)next++);
		seed = seed * 1664525 + 1013904223;
		f->room = seed >> 28;
		uart_writable(&f->uart);
	}
	f->room = 100;
	uart_writable(&f->uart);
	assert_int_equal(f->sent_len, next);
	for (unsigned i = 0; i < next; i++)
		assert_int_equal((uint8_t)f->sent[i], (uint8_t)i);
}

static void test_receive(void **state)
{
	struct fixture *f = *state;
	static const uint8_t text[] = "0123456789abcdefghij";

	outb(&f->bus, IER, 0x01);
	outb(&f->bus, FCR, 0x81);			/* trigger at 8 */
	assert_int_equal(uart_input(&f->uart, text, 3), 3);
	assert_true(f->line.is_high);
	assert_int_equal(inb(&f->bus, IIR), 0xcc);	/* below the trigger: time-out */
	assert_int_equal(uart_input(&f->uart, text + 3, 17), 13);
	assert_int_equal(inb(&f->bus, IIR), 0xc4);
	assert_int_equal(uart_input(&f->uart, text + 16, 4), 0);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(inb(&f->bus, LSR) & 0x01, 1);
		assert_int_equal(inb(&f->bus, DATA), text[i]);
	}
	assert_int_equal(f->asked, 1);			/* once for the refusal */
	assert_int_equal(inb(&f->bus, LSR), 0x60);
	assert_false(f->line.is_high);
	assert_int_equal(inb(&f->bus, DATA), 0);	/* empty: no stale byte, no underflow */
	assert_int_equal(uart_input(&f->uart, text + 16, 4), 4);
	outb(&f->bus, FCR, 0x03);			/* clear the receiver */
	assert_int_equal(inb(&f->bus, LSR), 0x60);
}

/* Who could give all it had is not asked for more. */
static void test_nothing_refused(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, FCR, 0x01);
	assert_int_equal(uart_input(&f->uart, (const uint8_t *)"ab", 2), 2);
	assert_int_equal(inb(&f->bus, DATA), 'a');
	assert_int_equal(inb(&f->bus, DATA), 'b');
	assert_int_equal(f->asked, 0);
}

static void test_no_fifo(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(uart_input(&f->uart, (const uint8_t *)"ab", 2), 1);
	outb(&f->bus, IER, 0x01);
	assert_int_equal(inb(&f->bus, IIR), 0x04);
	assert_int_equal(inb(&f->bus, DATA), 'a');
	assert_int_equal(f->asked, 1);
	f->room = 0;
	outb(&f->bus, DATA, 'x');
	outb(&f->bus, DATA, 'y');			/* no room, no patience: lost */
	f->room = 9;
	uart_writable(&f->uart);
	assert_int_equal(f->sent_len, 1);
}

static void test_loopback(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, FCR, 0x01);
	outb(&f->bus, MCR, 0x10);
	assert_int_equal(uart_input(&f->uart, (const uint8_t *)"z", 1), 0);
	for (int i = 0; i < 17; i++)
		outb(&f->bus, DATA, (uint8_t)i);
	outb(&f->bus, IER, 0x04);
	assert_true(f->line.is_high);
	assert_int_equal(inb(&f->bus, IIR) & 0x0f, 0x06);	/* overrun */
	assert_int_equal(inb(&f->bus, LSR), 0x63);
	assert_int_equal(inb(&f->bus, LSR), 0x61);		/* read clears it */
	assert_false(f->line.is_high);
	assert_int_equal(f->sent_len, 0);
	outb(&f->bus, MCR, 0x00);
	outb(&f->bus, FCR, 0x03);
	outb(&f->bus, IER, 0x08);
	assert_int_equal(inb(&f->bus, MSR) & 0xf0, 0xb0);
	outb(&f->bus, MCR, 0x11);				/* DTR: DSR stays, CTS and DCD drop */
	assert_true(f->line.is_high);
	assert_int_equal(inb(&f->bus, MSR), 0x29);
	assert_int_equal(inb(&f->bus, MSR), 0x20);
	assert_false(f->line.is_high);
	outb(&f->bus, MCR, 0x00);
	assert_int_equal(f->asked, 1);
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[40] = { 0 };
	uint32_t seed = 9;

	for (int i = 0; i < 200000; i++) {
		seed = seed * 1664525 + 1013904223;
		f->sent_len = 0;
		f->room = seed >> 29;
		if (seed & 0x10000)
			outb(&f->bus, DATA + (seed >> 17 & 7), (uint8_t)(seed >> 24));
		else if (seed & 0x20000)
			(void)inb(&f->bus, DATA + (seed >> 20 & 7));
		else if (seed & 0x40000)
			assert_true(uart_input(&f->uart, bytes, seed >> 20 & 31) <= 16);
		else
			uart_writable(&f->uart);
		assert_true(f->uart.s.rx.count <= 16 && f->uart.s.tx.count <= 16);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_linux_autoconfig), TEST(test_linux_thre_tests), TEST(test_back_pressure),
		TEST(test_nothing_lost), TEST(test_receive), TEST(test_nothing_refused), TEST(test_no_fifo), TEST(test_loopback),
		TEST(test_random),
	};

	return cmocka_run_group_tests_name("uart", tests, NULL, NULL);
}
