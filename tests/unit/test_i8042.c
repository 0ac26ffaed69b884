/* SPDX-License-Identifier: MIT */
/* hv/dev/i8042.c and hv/dev/debugcon.c: the ways a guest ends, and probes that must not wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/dev/debugcon.h"
#include "hv/dev/i8042.h"
#include "hv/lib/util.h"
#include "line_fake.h"
#include "port_fake.h"

struct fixture {
	struct line_fake line;
	struct i8042 dev;
	struct debugcon debugcon;
	struct bus bus;
	unsigned resets, exits, text_len;
	uint32_t code;
	uint8_t text[16];
};

static void on_reset(void *ctx)
{
	struct fixture *f = ctx;

	f->resets++;
}

static void on_exit_write(void *ctx, uint32_t code)
{
	struct fixture *f = ctx;

	f->exits++;
	f->code = code;
}

static size_t on_text(void *ctx, const uint8_t *data, size_t len)
{
	struct fixture *f = ctx;

	f->text[f->text_len++ % sizeof(f->text)] = data[0];
	return len;
}

static int setup(void **state)
{
	static struct fixture f;
	struct irq_line irq = line_fake_end(&f.line);
	struct char_back out_back = { .write = on_text, .ctx = &f };

	f = (struct fixture){ 0 };
	bus_init(&f.bus, "ports");
	i8042_init(&f.dev, &irq, on_reset, &f);
	debugcon_init(&f.debugcon, &out_back, on_exit_write, &f);
	*state = &f;
	return i8042_map(&f.dev, &f.bus) || debugcon_map(&f.debugcon, &f.bus);
}

static void test_resets(void **state)
{
	static const struct { uint16_t port; uint8_t value; unsigned resets; } rows[] = {
		{ 0x64, 0xfe, 1 }, { 0x64, 0xff, 1 }, { 0x64, 0xf0, 2 },
		{ 0x92, 0x02, 2 }, { 0x92, 0x03, 3 }, { 0x92, 0x03, 3 },
		{ 0xcf9, 0x02, 3 }, { 0xcf9, 0x06, 4 }, { 0xcf9, 0x06, 4 }, { 0xcf9, 0x00, 4 }, { 0xcf9, 0x0e, 5 },
		{ 0x64, 0xd1, 5 }, { 0x60, 0xdf, 5 }, { 0x64, 0xd1, 5 }, { 0x60, 0xfe, 6 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < countof(rows); i++) {
		outb(&f->bus, rows[i].port, rows[i].value);
		if (f->resets != rows[i].resets)
			fail_msg("row %zu: %u resets", i, f->resets);
	}
}

/* The A20 code of boot sectors, each loop bounded: the input buffer is always empty. */
static void test_a20_code(void **state)
{
	static const struct { uint16_t port; uint8_t value; } writes[] = { { 0x64, 0xd1 }, { 0x60, 0xdf } };
	struct fixture *f = *state;

	for (size_t i = 0; row_of(writes, i); i++) {
		assert_int_equal(inb(&f->bus, 0x64) & 0x02, 0);
		outb(&f->bus, writes[i].port, writes[i].value);
	}
	outb(&f->bus, 0x64, 0xd0);
	assert_int_equal(inb(&f->bus, 0x64) & 0x03, 0x01);
	assert_int_equal(inb(&f->bus, 0x60) & 0x03, 0x03);
	assert_int_equal(inb(&f->bus, 0x64) & 0x03, 0x00);
	outb(&f->bus, 0x92, inb(&f->bus, 0x92) | 0x02);
	assert_int_equal(f->resets, 0);
}

static void test_controller_commands(void **state)
{
	static const struct {
		uint8_t command; bool has_param; uint8_t param; bool has_reply; uint8_t reply;
	} rows[] = {
		{ 0xaa, false, 0, true, 0x55 }, { 0x20, false, 0, true, 0x34 }, { 0x60, true, 0x47, false, 0 },
		{ 0x20, false, 0, true, 0x47 }, { 0xad, false, 0, false, 0 }, { 0x20, false, 0, true, 0x57 },
		{ 0xae, false, 0, false, 0 }, { 0xa7, false, 0, false, 0 }, { 0x20, false, 0, true, 0x67 },
		{ 0xab, false, 0, true, 0x02 }, { 0xa9, false, 0, true, 0x02 }, { 0xd3, true, 0x5a, true, 0x5a },
		{ 0xd2, true, 0x1c, true, 0x1c }, { 0x77, false, 0, false, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; row_of(rows, i); i++) {
		outb(&f->bus, 0x64, rows[i].command);
		if (rows[i].has_param)
			outb(&f->bus, 0x60, rows[i].param);
		assert_int_equal(inb(&f->bus, 0x64) & 0x21, rows[i].has_reply);	/* never from a mouse */
		if (rows[i].has_reply)
			assert_int_equal(inb(&f->bus, 0x60), rows[i].reply);
	}
}

static void test_no_keyboard(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, 0x64, 0x60);
	outb(&f->bus, 0x60, 0x01);
	outb(&f->bus, 0x60, 0xf2);		/* identify */
	assert_int_equal(inb(&f->bus, 0x64) & 0x41, 0x41);
	assert_true(f->line.is_high);
	assert_int_equal(inb(&f->bus, 0x60), 0xfe);
	assert_false(f->line.is_high);
	assert_int_equal(inb(&f->bus, 0x64) & 0x41, 0);
}

static void test_debugcon(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(inb(&f->bus, 0xe9), 0xe9);
	outb(&f->bus, 0xe9, 'h');
	outb(&f->bus, 0xe9, 'i');
	assert_int_equal(f->text_len, 2);
	assert_memory_equal(f->text, "hi", 2);
	assert_int_equal(f->exits, 0);
	out(&f->bus, 0xf4, 1, 0x1ff);
	assert_int_equal(f->code, 0xff);
	out(&f->bus, 0xf4, 2, 0x1234);
	assert_int_equal(f->code, 0x1234);
	out(&f->bus, 0xf4, 4, 0x89abcdef);
	assert_int_equal(f->code, 0x89abcdef);
	assert_int_equal(f->exits, 3);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_resets), TEST(test_a20_code), TEST(test_controller_commands), TEST(test_no_keyboard),
		TEST(test_debugcon),
	};

	return cmocka_run_group_tests_name("i8042", tests, NULL, NULL);
}
