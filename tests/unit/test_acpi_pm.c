/* SPDX-License-Identifier: MIT */
/* hv/dev/acpi_pm.c: power-off, the timer, the event registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/dev/acpi_pm.h"
#include "hv/lib/util.h"
#include "line_fake.h"
#include "port_fake.h"

enum { STATUS = 0x600, ENABLE = 0x602, CONTROL = 0x604, TIMER = 0x608 };

struct fixture { struct line_fake line; struct acpi_pm pm; struct bus bus; unsigned offs; };

static void on_power_off(void *ctx)
{
	struct fixture *f = ctx;

	f->offs++;
}

static int setup(void **state)
{
	static struct fixture f;
	struct irq_line sci = line_fake_end(&f.line);

	f = (struct fixture){ 0 };
	vm_clock_set(&fake_clock, 0);
	bus_init(&f.bus, "ports");
	acpi_pm_init(&f.pm, &fake_clock, &sci, on_power_off, &f);
	*state = &f;
	return acpi_pm_map(&f.pm, &f.bus);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	timer_disarm(&f->pm.timer);
	return timer_next() == TIMER_NEVER ? 0 : -1;
}

static void test_power_off(void **state)
{
	static const struct { unsigned size, offset; uint16_t value; unsigned offs; } rows[] = {
		{ 2, 0, 0x0001, 0 },		/* SCI_EN */
		{ 2, 0, 0x1400, 0 },		/* type 5 without SLP_EN */
		{ 2, 0, 0x2000, 0 },		/* SLP_EN with type 0 */
		{ 2, 0, 0x2400, 0 },		/* type 1: there is no such state */
		{ 2, 0, 0x3401, 1 },
		{ 1, 1, 0x34, 2 },		/* the high byte alone */
	};
	struct fixture *f = *state;

	for (size_t i = 0; row_of(rows, i); i++) {
		out(&f->bus, CONTROL + rows[i].offset, rows[i].size, rows[i].value);
		assert_int_equal(f->offs, rows[i].offs);
		assert_int_equal(in(&f->bus, CONTROL, 2) & 0x2001, 0x0001);	/* ACPI on, SLP_EN reads 0 */
	}
}

static void test_timer_rate(void **state)
{
	struct fixture *f = *state;
	uint64_t before = in(&f->bus, TIMER, 4);

	clock_advance(10 * FAKE_HZ);
	assert_in_range(in(&f->bus, TIMER, 4) - before, 35795449, 35795451);
	assert_int_equal(in(&f->bus, TIMER + 1, 1), in(&f->bus, TIMER, 4) >> 8 & 0xff);
	out(&f->bus, TIMER, 4, 0);
	assert_in_range(in(&f->bus, TIMER, 4) - before, 35795449, 35795451);
	clock_advance(1200 * FAKE_HZ);			/* 32 bits: it wraps */
	assert_true(in(&f->bus, TIMER, 4) < (10 + 1200) * ACPI_PM_TIMER_HZ - UINT32_MAX);
}

static void test_timer_carry(void **state)
{
	struct fixture *f = *state;
	uint64_t half = (1ULL << 31) * FAKE_HZ / ACPI_PM_TIMER_HZ;

	clock_advance(half + FAKE_HZ);
	assert_int_equal(in(&f->bus, STATUS, 2), 1);
	assert_false(f->line.is_high);
	out(&f->bus, ENABLE, 2, 1);
	assert_true(f->line.is_high);
	out(&f->bus, STATUS, 2, 1);
	assert_false(f->line.is_high);
	clock_advance(half - 2 * FAKE_HZ);
	assert_false(f->line.is_high);
	clock_advance(2 * FAKE_HZ);
	assert_true(f->line.is_high);
}

/* Any byte of the two registers; status bits are cleared by ones, of the enables only those that exist are kept. */
static void test_event_registers(void **state)
{
	struct fixture *f = *state;

	out(&f->bus, STATUS, 4, 0x01210100);		/* as one doubleword */
	assert_int_equal(in(&f->bus, STATUS, 4), 0x01210000);
	out(&f->bus, ENABLE + 1, 1, 0xff);
	assert_int_equal(in(&f->bus, ENABLE, 2), 0x0521);
	f->pm.s.status = 0x0101;
	out(&f->bus, STATUS + 1, 1, 0x01);
	assert_int_equal(in(&f->bus, STATUS, 2), 0x0001);
	assert_true(f->line.is_high);
	out(&f->bus, STATUS, 1, 0x01);
	assert_false(f->line.is_high);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_power_off), TEST(test_timer_rate), TEST(test_timer_carry), TEST(test_event_registers),
	};

	return cmocka_run_group_tests_name("acpi_pm", tests, NULL, NULL);
}
