/* SPDX-License-Identifier: MIT */
/* drivers/uart16550.c: nothing that arrives is lost, and answers overtake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serial_chip.h"

static int setup(void **state)
{
	(void)state;
	chip_start();
	assert_int_equal(chip.mcr, 0x0b);	/* DTR, RTS, and OUT2, without which a PC's interrupt does not get through */
	assert_int_equal(chip.fcr, 0xc7);	/* on and empty, an interrupt at 14 bytes */
	assert_int_equal(chip.lcr, 0x03);	/* eight bits, no parity, one stop bit */
	assert_true(chip.divisor[0] == 1 && chip.divisor[1] == 0);
	return 0;
}

/* A sender that minds RTS, with 16 bytes on their way when it goes off: all 35 KB arrive, however seldom we read. */
static void test_nothing_is_lost(void **state)
{
	const size_t total = 35000;
	size_t sent = 0, got = 0, late = 0;
	uint8_t data[777];

	(void)state;
	while (got < total) {
		for (unsigned i = 0; i < 10000 && sent < total; i++) {
			late = chip.mcr & MCR_RTS ? 0 : late + 1;
			if (late > 16)
				break;
			wire_in((uint8_t)(sent++ * 7));
			chip_interrupt();
		}
		for (size_t i = 0, len = serial_read(data, sizeof(data)); i < len; i++)
			assert_int_equal(data[i], (uint8_t)(got++ * 7));
	}
	assert_int_equal(chip.overruns, 0);
	assert_int_equal(chip.mcr, MCR_READY | MCR_RTS);
}

/*
 * A sender that knows no RTS but fills only a FIFO with room, as QEMU does: the FIFO is left full, its interrupt is
 * masked, and reading goes on where it stopped.
 */
static void test_full_ring_leaves_the_fifo(void **state)
{
	uint8_t data[INPUT_RING + 100];
	size_t sent = 0;

	(void)state;
	while (chip.rx_len < UART_FIFO) {
		wire_in((uint8_t)sent++);
		chip_interrupt();
	}
	assert_int_equal(sent, INPUT_RING + UART_FIFO);
	assert_int_equal(chip.ier, IER_THRI);
	assert_int_equal(chip.mcr, MCR_READY);
	assert_int_equal(serial_read(data, 10), 10);
	assert_int_equal(serial_read(data + 10, sizeof(data) - 10), INPUT_RING);
	for (size_t i = 0; i < INPUT_RING + 10; i++)
		assert_int_equal(data[i], (uint8_t)i);
	assert_int_equal(chip.ier, IER_RDI | IER_THRI);
	assert_int_equal(chip.mcr, MCR_READY | MCR_RTS);
	assert_int_equal(serial_read(data, sizeof(data)), 6);
}

/* An answer goes before what waits, at the next chance, and is part of no more than a FIFO. */
static void test_answer_overtakes(void **state)
{
	uint8_t text[100];

	(void)state;
	chip.is_busy = true;
	memset(text, 'x', sizeof(text));
	assert_int_equal(serial_write(text, sizeof(text)), sizeof(text));
	serial_answer((const uint8_t *)"abc", 3);
	serial_answer((const uint8_t *)"de", 2);
	assert_int_equal(chip.tx_len, 0);
	chip.is_busy = false;
	send_some();
	assert_int_equal(chip.tx_len, UART_FIFO);
	assert_memory_equal(chip.tx, "abcdexxxxxxxxxxx", UART_FIFO);
	serial_drain();
	assert_int_equal(chip.tx_len, 105);
	serial_answer((const uint8_t *)"f", 1);
	assert_int_equal(chip.tx[105], 'f');
	chip.is_busy = true;
	serial_answer((const uint8_t *)"0123456789", 10);
	serial_answer((const uint8_t *)"0123456", 7);	/* has no room behind the first */
	serial_answer((const uint8_t *)"012345", 6);	/* has just enough */
	chip.is_busy = false;
	send_some();
	assert_int_equal(chip.tx_len, 122);
}

/* Who reads and who answers keeps the interrupt handler of another processor out, which changes the same rings. */
static void test_keeps_others_out(void **state)
{
	uint8_t byte;

	(void)state;
	wire_in('x');
	chip_interrupt();
	log_holds = log_releases = 0;
	assert_int_equal(serial_read(&byte, 1), 1);
	assert_int_equal(log_holds, 1);
	serial_answer((const uint8_t *)"abc", 3);
	assert_int_equal(log_holds, 2);
	assert_int_equal(log_releases, 2);
	assert_int_equal(serial_read(&byte, 1), 0);	/* nobody waits for that answer */
	assert_int_equal(log_holds, 2);
}

/* The ring goes around, at any place in a text, and nothing of it is mixed up or lost but what it has no room for. */
static void test_ring_goes_around(void **state)
{
	const size_t size = LARGE_RING_PAGES * PAGE_SIZE;
	uint8_t text[1000];
	uint64_t sent = 0, seen = 0;

	(void)state;
	chip.tx_len = 0;
	while (sent < 3 * size) {
		chip.is_busy = true;
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (uint8_t)((sent + i) % 251);
		sent += serial_write(text, sizeof(text));
		chip.is_busy = false;
		serial_drain();
		for (; seen < sent; seen++)
			assert_int_equal(chip.tx[seen % sizeof(chip.tx)], seen % 251);
	}
	chip.is_busy = true;
	for (size_t i = 0; i < size / sizeof(text); i++)
		assert_int_equal(serial_write(text, sizeof(text)), sizeof(text));
	assert_int_equal(serial_write(text, sizeof(text)), size % sizeof(text));
	assert_int_equal(serial_room(), 0);
	chip.is_busy = false;
	serial_drain();
	assert_int_equal(chip.tx_len, sent + size);
}

/* What was typed wants the scheduler's loop, where it is read: not the timer's word, and nobody else's is taken away. */
static void test_wants_the_loop(void **state)
{
	(void)state;
	processor.attention = ATTENTION_TIMER;
	chip_interrupt();
	assert_int_equal(processor.attention, ATTENTION_TIMER);
	wire_in('x');
	chip_interrupt();
	assert_int_equal(processor.attention, ATTENTION_TIMER | ATTENTION_OTHER);
	processor.attention = 0;
	wire_in('y');
	chip_interrupt();
	assert_int_equal(processor.attention, ATTENTION_OTHER);
}

/* Nobody is there: all ones, or no scratch register. Bytes for it are gone, and it is not asked again. */
static void check_absent(void)
{
	assert_false(serial_init());
	chip.accesses = 0;
	assert_int_equal(serial_write((const uint8_t *)"x", 1), 1);
	serial_answer((const uint8_t *)"x", 1);
	serial_drain();
	assert_int_equal(serial_room(), serial_size());
	assert_int_equal(chip.accesses, 0);
}

static void test_absent(void **state)
{
	(void)state;
	chip.is_absent = true;		/* but for a latch where SCR would be */
	check_absent();
	chip.is_absent = false;
	chip.is_scratchless = true;
	check_absent();
	chip.is_scratchless = false;
}

/* A transmitter that stops for good: what waited is dropped once, and does not hold the next line as long. */
static void test_stuck(void **state)
{
	(void)state;
	chip.is_busy = true;
	assert_int_equal(serial_write((const uint8_t *)"abc", 3), 3);
	serial_answer((const uint8_t *)"d", 1);
	serial_drain();
	assert_int_equal(serial_room(), serial_size());
	chip.is_busy = false;
	send_some();
	assert_int_equal(chip.tx_len, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_lost), TEST(test_full_ring_leaves_the_fifo), TEST(test_answer_overtakes),
		TEST(test_keeps_others_out), TEST(test_ring_goes_around), TEST(test_wants_the_loop), TEST(test_absent), TEST(test_stuck),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
