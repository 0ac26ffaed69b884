/* SPDX-License-Identifier: MIT */
/* hv/dev/pit.c: counts, outputs and interrupts against a clock that moves only when told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/pic.h"
#include "hv/dev/pit.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "line_fake.h"
#include "port_fake.h"

#define ANY_PERIOD_LATE	3U	/* rounding of one host tick per period, in periods of a second */

struct fixture { struct line_fake line; struct pit pit; struct bus bus; };

static int setup(void **state)
{
	static struct fixture f;
	struct irq_line irq = line_fake_end(&f.line);

	f.line = (struct line_fake){ 0 };
	bus_init(&f.bus, "ports");
	pit_init(&f.pit, &fake_clock, &irq);
	*state = &f;
	return pit_map(&f.pit, &f.bus);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	timer_disarm(&f->pit.timer);
	return timer_next() == TIMER_NEVER ? 0 : -1;
}

/* So many PIT ticks, and half a one so that rounding cannot matter. */
static uint64_t ticks(uint64_t n)
{
	return mul_div64(2 * n + 1, FAKE_HZ, 2 * PIT_HZ);
}

static void program(struct fixture *f, unsigned counter, uint8_t control, uint16_t count)
{
	outb(&f->bus, 0x43, control);
	(void)nospec_took(0, 0);
	if (control & 0x10)
		outb(&f->bus, 0x40 + counter, (uint8_t)count);
	assert_true(!(control & 0x10) || nospec_took(counter, 3));
	if (control & 0x20)
		outb(&f->bus, 0x40 + counter, (uint8_t)(count >> 8));
}

static unsigned read_count(struct fixture *f, unsigned counter)
{
	unsigned low;

	(void)nospec_took(0, 0);
	outb(&f->bus, 0x43, (uint8_t)(counter << 6));
	assert_true(nospec_took(counter, 3));
	low = inb(&f->bus, 0x40 + counter);
	assert_true(nospec_took(counter, 3));
	return low | (unsigned)inb(&f->bus, 0x40 + counter) << 8;
}

static unsigned read_status(struct fixture *f, unsigned counter)
{
	outb(&f->bus, 0x43, (uint8_t)(0xe0 | 2U << counter));
	return inb(&f->bus, 0x40 + counter);
}

/* 18.2 Hz in mode 3 without anybody asking. */
static void test_reset_runs(void **state)
{
	struct fixture *f = *state;

	f->line.rises = 0;
	clock_advance(10 * FAKE_HZ);
	assert_in_range(f->line.rises, 182, 183);
	assert_int_equal(read_status(f, 0) & 0x3f, 0x36);
}

static void test_rates(void **state)
{
	static const struct { uint8_t control; uint16_t count; unsigned per_second; } rows[] = {
		{ 0x34, 11932, 100 }, { 0x36, 11932, 100 }, { 0x34, 1193, 1000 }, { 0x36, 4773, 250 },
		{ 0x3c, 11932, 100 }, { 0x3e, 11932, 100 },	/* modes 6 and 7 */
		{ 0x14, 200, 5966 },				/* low byte only */
		{ 0x24, 0x0400, 1165 },				/* high byte only */
		{ 0x35, 0x1193, 1000 },				/* BCD */
		{ 0x34, 1, 20000 }, { 0x34, 58, 20000 },	/* no storm */
		{ 0x34, 59, 20223 },				/* the first count that is none */
	};
	struct fixture *f = *state;

	for (size_t i = 0; row_of(rows, i); i++) {
		program(f, 0, rows[i].control, rows[i].count);
		f->line.rises = 0;
		clock_advance(FAKE_HZ);
		assert_in_range(f->line.rises, rows[i].per_second - ANY_PERIOD_LATE,
				rows[i].per_second + ANY_PERIOD_LATE);
	}
}

/* One that comes late does not put off the next, however soon that is. */
static void test_late_tick_delays_nothing(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 0x34, 11932);
	clock_advance(ticks(11932));
	f->line.rises = 0;
	clock_jump(ticks(2 * 11932 - 12));
	assert_int_equal(f->line.rises, 1);
	clock_advance(ticks(20));
	assert_int_equal(f->line.rises, 2);
}

/* No drift: after an hour of 100 Hz the count of interrupts is exact to one. */
static void test_no_drift(void **state)
{
	struct fixture *f = *state;
	uint64_t expected = 3600ULL * PIT_HZ / 11932;

	program(f, 0, 0x34, 11932);
	f->line.rises = 0;
	clock_advance(3600 * FAKE_HZ);
	assert_in_range(f->line.rises, expected - 1, expected + 1);
}

static void test_missed_ticks_coalesce(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 0x34, 11932);
	f->line.rises = 0;
	clock_jump(5 * FAKE_HZ);
	assert_int_equal(f->line.rises, 1);
	clock_advance(FAKE_HZ);
	assert_in_range(f->line.rises, 100, 102);
}

static void test_one_shot_interrupt(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 0x30, 1000);
	assert_false(f->line.is_high);
	f->line.rises = 0;
	clock_advance(ticks(998));
	assert_int_equal(f->line.rises, 0);
	clock_advance(ticks(4));
	assert_int_equal(f->line.rises, 1);
	clock_advance(FAKE_HZ);
	assert_int_equal(f->line.rises, 1);
	program(f, 0, 0x38, 1000);	/* strobe: one rise at its end */
	f->line.rises = 0;
	clock_advance(FAKE_HZ);
	assert_int_equal(f->line.rises, 1);
	program(f, 0, 0x30, 0);		/* Linux' shutdown: mode 0, full count, then never again */
	clock_advance(FAKE_HZ);
	assert_int_equal(timer_next(), TIMER_NEVER);
}

static void test_values(void **state)
{
	static const struct { uint8_t control; uint16_t count; unsigned ticks, value, is_high; } rows[] = {
		{ 0xb0, 1000, 0, 1000, 0 }, { 0xb0, 1000, 300, 700, 0 }, { 0xb0, 1000, 1000, 0, 1 },
		{ 0xb0, 1000, 1001, 0xffff, 1 }, { 0xb0, 0, 1, 0xffff, 0 }, { 0xb0, 0xffff, 0x100, 0xfeff, 0 },
		{ 0xb4, 100, 30, 70, 1 }, { 0xb4, 100, 99, 1, 0 }, { 0xb4, 100, 100, 100, 1 },
		{ 0xb6, 100, 10, 80, 1 }, { 0xb6, 100, 49, 2, 1 }, { 0xb6, 100, 60, 80, 0 }, { 0xb6, 100, 110, 80, 1 },
		{ 0xb8, 50, 49, 1, 1 }, { 0xb8, 50, 50, 0, 0 }, { 0xb8, 50, 51, 0xffff, 1 },
		{ 0xb1, 0x1000, 1, 0x0999, 0 }, { 0xb1, 0, 1, 0x9999, 0 }, { 0xb1, 0x10, 11, 0x9999, 1 },
	};
	struct fixture *f = *state;

	outb(&f->bus, 0x61, 1);
	for (size_t i = 0; i < countof(rows); i++) {
		program(f, 2, rows[i].control, rows[i].count);
		clock_advance(ticks(rows[i].ticks));
		if (read_count(f, 2) != rows[i].value || (inb(&f->bus, 0x61) >> 5 & 1) != rows[i].is_high)
			fail_msg("row %zu: count %#x, out %u", i, read_count(f, 2), inb(&f->bus, 0x61) >> 5 & 1);
	}
}

static void test_gate(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, 0x61, 1);
	program(f, 2, 0xb0, 1000);
	clock_advance(ticks(400));
	outb(&f->bus, 0x61, 0);
	clock_advance(FAKE_HZ);
	assert_int_equal(read_count(f, 2), 600);
	outb(&f->bus, 0x61, 1);
	clock_advance(ticks(100));
	assert_in_range(read_count(f, 2), 499, 500);

	outb(&f->bus, 0x61, 0);
	program(f, 2, 0xb1, 0x9075);	/* BCD both ways */
	assert_int_equal(read_count(f, 2), 0x9075);
	program(f, 2, 0xb1, 0x0905);
	assert_int_equal(read_count(f, 2), 0x0905);

	outb(&f->bus, 0x61, 1);
	program(f, 2, 0xb2, 1000);	/* mode 1 waits for a rising gate */
	clock_advance(ticks(5000));
	assert_int_equal(inb(&f->bus, 0x61) & 0x20, 0x20);
	outb(&f->bus, 0x61, 0);
	outb(&f->bus, 0x61, 1);
	assert_int_equal(inb(&f->bus, 0x61) & 0x20, 0);
	clock_advance(ticks(1000));
	assert_int_equal(inb(&f->bus, 0x61) & 0x20, 0x20);

	program(f, 2, 0xb6, 1000);	/* mode 3 starts its period anew */
	clock_advance(ticks(700));
	outb(&f->bus, 0x61, 0);
	assert_int_equal(inb(&f->bus, 0x61) & 0x21, 0x20);
	outb(&f->bus, 0x61, 3);
	clock_advance(ticks(100));
	assert_int_equal(read_count(f, 2), 800);
	assert_int_equal(inb(&f->bus, 0x61) & 0x23, 0x23);
}

/*
 * An odd count N in mode 3 is high for (N + 1) / 2 ticks and low for the rest: 8254 data sheet, "Mode 3:
 * Square Wave Mode".
 */
static void test_odd_square(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, 0x61, 1);
	program(f, 2, 0xb6, 5);
	clock_advance(ticks(0));
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(inb(&f->bus, 0x61) & 0x20, i % 5 < 3 ? 0x20 : 0);
		clock_advance(mul_div64(1, FAKE_HZ, PIT_HZ));
	}
}

static void test_latches(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, 0x61, 1);
	program(f, 2, 0xb0, 0x1234);
	outb(&f->bus, 0x43, 0x80);
	clock_advance(ticks(100));
	outb(&f->bus, 0x43, 0x80);	/* the first latch stands */
	assert_int_equal(inb(&f->bus, 0x42), 0x34);
	assert_int_equal(inb(&f->bus, 0x42), 0x12);
	outb(&f->bus, 0x43, 0xc8);	/* read-back: status and count of counter 2 */
	clock_advance(ticks(100));
	assert_int_equal(inb(&f->bus, 0x42), 0x30);
	assert_int_equal(inb(&f->bus, 0x42), (0x1234 - 100) & 0xff);
	assert_int_equal(inb(&f->bus, 0x42), (0x1234 - 100) >> 8);
	outb(&f->bus, 0x43, 0xb0);
	assert_int_equal(read_status(f, 2) & 0x40, 0x40);	/* null count until one is written */
	assert_int_equal(inb(&f->bus, 0x43), 0xff);
}

/* In modes 2 and 3 a new count takes over at the end of the running period. */
static void test_new_count(void **state)
{
	struct fixture *f = *state;

	outb(&f->bus, 0x61, 1);
	program(f, 2, 0xb4, 100);
	clock_advance(ticks(1050));
	outb(&f->bus, 0x42, 200);
	outb(&f->bus, 0x42, 0);
	assert_in_range(read_count(f, 2), 49, 50);
	assert_int_equal(read_status(f, 2) & 0x40, 0x40);
	clock_advance(ticks(60));
	assert_in_range(read_count(f, 2), 188, 190);
	assert_int_equal(read_status(f, 2) & 0x40, 0);
}

/* Linux' quick_pit_calibrate: MSB steps of counter 2 against the TSC agree to 500 ppm. */
static void test_calibration(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0;
	unsigned msb = 0xff, changes = 0;

	outb(&f->bus, 0x61, (uint8_t)((inb(&f->bus, 0x61) & ~0x02) | 0x01));
	program(f, 2, 0xb0, 0xffff);
	for (; changes < 50; fake_now += 1000) {
		unsigned now_msb;

		(void)inb(&f->bus, 0x42);
		now_msb = inb(&f->bus, 0x42);
		if (now_msb == msb)
			continue;
		assert_int_equal(now_msb, msb - 1);
		msb = now_msb;
		if (!changes++)
			first = fake_now;
		last = fake_now;
	}
	assert_in_range((last - first) * PIT_HZ / (49 * 256), FAKE_HZ / 2000 * 1999, FAKE_HZ / 2000 * 2001);
}

static void test_refresh_toggles(void **state)
{
	struct fixture *f = *state;
	unsigned changes = 0, last = inb(&f->bus, 0x61) & 0x10;

	for (int i = 0; i < 1000; i++) {
		clock_advance(fake_us(1));
		changes += (inb(&f->bus, 0x61) & 0x10) != last;
		last = inb(&f->bus, 0x61) & 0x10;
	}
	assert_in_range(changes, 60, 70);
}

/* What is remembered of port 61h is what would be computed. */
static void check_speaker(struct fixture *f)
{
	uint8_t shown = inb(&f->bus, 0x61);

	f->pit.shown_until = 0;
	assert_int_equal(shown, inb(&f->bus, 0x61));
}

/* ---- Asleep: masked everywhere ---- */

/* A PIT with its two controllers. The one has a timer always, the other only while it is heard. */
struct wired {
	struct pit    pit;
	struct pic    pic;
	struct ioapic ioapic;
	struct bus    ports, memory;
	struct line_fake output;
	unsigned      messages;
	uint64_t      heard_from;
};

static void wired_line(void *ctx, unsigned pin, bool is_high)
{
	struct wired *w = ctx;

	pic_set_line(&w->pic, pin, is_high);
	ioapic_set_line(&w->ioapic, pin + 2, is_high);
}

static uint64_t wired_heard_from(void *ctx, unsigned pin)
{
	const struct wired *w = ctx;

	return pic_hears(&w->pic, pin) || ioapic_hears(&w->ioapic, pin + 2) ? w->heard_from : TIMER_NEVER;
}

static void wired_wake(void *ctx)
{
	pit_wake(&((struct wired *)ctx)->pit);
}

static bool wired_message(void *ctx, const struct ioapic_msg *msg)
{
	((struct wired *)ctx)->messages += msg->vector;
	return true;
}

static void wire(struct wired *w, bool may_sleep)
{
	const struct irq_line output = line_fake_end(&w->output);
	const struct irq_line irq = { wired_line, w, 0, may_sleep ? wired_heard_from : NULL };

	*w = (struct wired){ .messages = 0 };
	bus_init(&w->ports, "ports");
	bus_init(&w->memory, "memory");
	pic_init(&w->pic, &output);
	ioapic_init(&w->ioapic, wired_message, w);
	pit_init(&w->pit, &fake_clock, &irq);
	if (may_sleep)
		w->pic.sleeper = w->ioapic.sleeper = (struct irq_sleeper){ wired_wake, w };
	assert_int_equal(pic_map(&w->pic, &w->ports) | pit_map(&w->pit, &w->ports) | ioapic_map(&w->ioapic, &w->memory), 0);
}

static void redirect(struct wired *w, uint32_t entry)
{
	out(&w->memory, IOAPIC_BASE, 4, 0x10 + 2 * 2);
	out(&w->memory, IOAPIC_BASE + 0x10, 4, entry);
}

/* After the 8259 has latched one rise, others change nothing: no timer until an input is open. */
static void test_sleeps_while_masked(void **state)
{
	static struct wired w;

	teardown(state);
	wire(&w, true);
	outb(&w.ports, 0x43, 0x34);
	outb(&w.ports, 0x40, 0xa9);
	outb(&w.ports, 0x40, 0x04);		/* 1,000 Hz */
	clock_advance(FAKE_HZ / 10);
	assert_int_equal(timer_next(), TIMER_NEVER);
	assert_int_equal(inb(&w.ports, 0x20), 1);
	redirect(&w, 0x30);			/* an edge on a masked input is lost, the next one comes in its time */
	assert_int_equal(w.messages, 0);
	assert_in_range(timer_next(), fake_now + 1, fake_now + FAKE_HZ / 1000);
	clock_advance(FAKE_HZ / 100);
	assert_in_range(w.messages, 0x30 * 9, 0x30 * 11);
	redirect(&w, 0x10030);
	clock_advance(FAKE_HZ / 100);
	assert_int_equal(timer_next(), TIMER_NEVER);
	outb(&w.ports, 0x21, 0xfe);		/* what was latched is delivered at once */
	assert_true(w.output.is_high);
	assert_int_not_equal(timer_next(), TIMER_NEVER);
	timer_disarm(&w.pit.timer);
}

/* A rise before the moment from which it would be heard comes then, and delays no other. */
static void test_waits_until_it_is_heard(void **state)
{
	static struct wired w;

	teardown(state);
	wire(&w, true);
	redirect(&w, 1);
	w.heard_from = fake_now + FAKE_HZ / 400;
	outb(&w.ports, 0x43, 0x34);
	outb(&w.ports, 0x40, 0xa9);
	outb(&w.ports, 0x40, 0x04);		/* 1,000 Hz: of 2.5 ms */
	assert_int_equal(timer_next(), w.heard_from);
	clock_advance(FAKE_HZ / 400);
	assert_int_equal(w.messages, 1);
	clock_advance(FAKE_HZ / 100);		/* 12.5 ms */
	assert_int_equal(w.messages, 11);
	timer_disarm(&w.pit.timer);
}

static void drive(struct wired *w, uint32_t seed)
{
	static const uint8_t masks[] = { 0xff, 0xfe, 0xff, 0x01 };
	static const uint8_t controls[] = { 0x30, 0x34, 0x36, 0x38 };
	static const uint32_t entries[] = { 0x10030, 0x30, 0x10031, 0x8032, 0x18032, 0x10033 };

	switch (seed >> 28) {
	case 0: case 1: case 2:
		outb(&w->ports, 0x21, masks[seed >> 8 & 3]);
		break;
	case 3: case 4: case 5:
		redirect(w, entries[(seed >> 8) % countof(entries)]);
		break;
	case 6:
		outb(&w->ports, 0x43, controls[seed >> 8 & 3]);
		break;
	case 7: case 8:
		outb(&w->ports, 0x40, (uint8_t)(seed >> 8));
		outb(&w->ports, 0x40, (uint8_t)(1 + (seed >> 16 & 15)));
		break;
	case 9:
		if (w->output.is_high)
			(void)pic_ack(&w->pic);
		break;
	case 10:
		outb(&w->ports, 0x20, 0x60);
		break;
	case 11:
		for (unsigned i = 0; i < 4; i++)
			outb(&w->ports, i ? 0x21 : 0x20, (uint8_t)(i ? 1 << i : 0x11));
		break;
	default:
		break;
	}
}

/* A guest cannot tell whether there is a timer: whatever it does, both machines answer alike. */
static void test_sleep_is_not_seen(void **state)
{
	static struct wired always, heard;
	unsigned asleep = 0;
	uint32_t seed = 11;

	teardown(state);
	wire(&always, false);
	wire(&heard, true);
	for (int i = 0; i < 200000; i++) {
		seed = seed * 1664525 + 1013904223;
		drive(&always, seed);
		drive(&heard, seed);
		if (seed & 0x800000)
			clock_advance(seed >> 11);
		assert_int_equal(inb(&always.ports, 0x20), inb(&heard.ports, 0x20));
		assert_int_equal(inb(&always.ports, 0x40), inb(&heard.ports, 0x40));
		assert_int_equal(always.output.is_high, heard.output.is_high);
		assert_int_equal(always.messages, heard.messages);
		asleep += timer_is_armed(&always.pit.timer) && !timer_is_armed(&heard.pit.timer);
	}
	assert_in_range(asleep, 10000, 200000);
	timer_disarm(&always.pit.timer);
	timer_disarm(&heard.pit.timer);
}

/* Any bytes at any port: no sanitizer report, time goes on, timers stay sane. */
static void test_random(void **state)
{
	static const uint8_t ports[] = { 0x40, 0x41, 0x42, 0x43, 0x61 };
	struct fixture *f = *state;
	uint32_t seed = 7;

	for (int i = 0; i < 200000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed & 0x10000)
			outb(&f->bus, ports[(seed >> 20) % countof(ports)], (uint8_t)(seed >> 24));
		else
			(void)inb(&f->bus, ports[(seed >> 20) % countof(ports)]);
		if (!(seed & 0x60000))
			clock_jump(seed >> 12);
		else
			clock_advance(seed >> 22);
		if (seed & 0x80000)
			check_speaker(f);
		assert_true(timer_next() == TIMER_NEVER || timer_next() < fake_now + FAKE_HZ);
	}
}

/* The moment of the interrupt passes, the VM is saved before anybody looked, and loaded: the interrupt is not lost. */
static void test_saved_at_its_interrupt(void **state)
{
	struct fixture *f = *state;
	struct pit_state saved;

	program(f, 0, 0x30, 1000);
	f->line.rises = 0;
	fake_now += ticks(1001);
	vm_clock_stop(&fake_clock);
	pit_after_load(&f->pit);
	saved = f->pit.s;
	pit_reset(&f->pit);
	f->line = (struct line_fake){ 0 };
	f->pit.s = saved;
	pit_after_load(&f->pit);
	vm_clock_start(&fake_clock);
	pit_after_load(&f->pit);
	timer_run_due();
	assert_int_equal(f->line.rises, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_reset_runs), TEST(test_rates), TEST(test_late_tick_delays_nothing), TEST(test_no_drift), TEST(test_missed_ticks_coalesce),
		TEST(test_one_shot_interrupt), TEST(test_values), TEST(test_gate), TEST(test_odd_square), TEST(test_latches),
		TEST(test_new_count), TEST(test_calibration), TEST(test_refresh_toggles), TEST(test_random),
		TEST(test_sleeps_while_masked), TEST(test_waits_until_it_is_heard), TEST(test_sleep_is_not_seen),
		TEST(test_saved_at_its_interrupt),
	};

	return cmocka_run_group_tests_name("pit", tests, NULL, NULL);
}
