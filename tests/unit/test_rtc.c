/* SPDX-License-Identifier: MIT */
/* hv/dev/rtc.c and the calendar under it: time, formats, alarms, interrupts, memory sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/dev/calendar.h"
#include "hv/dev/rtc.h"
#include "hv/lib/util.h"
#include "line_fake.h"
#include "port_fake.h"

#define NEW_YEAR_EVE	1735689598ULL	/* 2024-12-31 23:59:58, a Tuesday */
#define MIB		(1ULL << 20)

struct fixture { struct line_fake line; struct rtc rtc; struct bus bus; };

static void start(struct fixture *f, uint64_t seconds, uint64_t low, uint64_t above_4g)
{
	struct irq_line irq = line_fake_end(&f->line);

	f->line = (struct line_fake){ 0 };
	bus_init(&f->bus, "ports");
	rtc_init(&f->rtc, seconds, low, above_4g, &fake_clock, &irq);
	assert_int_equal(rtc_map(&f->rtc, &f->bus), 0);
}

static int setup(void **state)
{
	static struct fixture f;

	start(&f, NEW_YEAR_EVE, 128 * MIB, 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	timer_disarm(&f->rtc.timer);
	return timer_next() == TIMER_NEVER ? 0 : -1;
}

static uint8_t get(struct fixture *f, uint8_t reg)
{
	outb(&f->bus, 0x70, reg);
	return inb(&f->bus, 0x71);
}

static void set(struct fixture *f, uint8_t reg, uint8_t value)
{
	outb(&f->bus, 0x70, reg);
	outb(&f->bus, 0x71, value);
}

static void expect_time(struct fixture *f, const uint8_t *bytes)	/* s m h weekday day month year century */
{
	static const uint8_t regs[] = { 0, 2, 4, 6, 7, 8, 9, 0x32 };

	for (size_t i = 0; i < countof(regs); i++)
		if (get(f, regs[i]) != bytes[i])
			fail_msg("register %#x: %#x, want %#x", regs[i], get(f, regs[i]), bytes[i]);
}

/* Against the host's own calendar, 1900 to 2200, and the way back. */
static void test_calendar(void **state)
{
	(void)state;
	for (int64_t at = -2208988800; at < 7258118400; at += 86400 * 3 + 12345) {
		struct calendar date;
		struct tm tm;
		time_t host = (time_t)at;

		calendar_from_seconds(&date, at);
		assert_non_null(gmtime_r(&host, &tm));
		assert_int_equal(date.year, tm.tm_year + 1900);
		assert_int_equal(date.month, tm.tm_mon + 1);
		assert_int_equal(date.day, tm.tm_mday);
		assert_int_equal(date.hour, tm.tm_hour);
		assert_int_equal(date.minute, tm.tm_min);
		assert_int_equal(date.second, tm.tm_sec);
		assert_int_equal(date.weekday, tm.tm_wday);
		assert_int_equal(calendar_to_seconds(&date), at);
	}
}

static void test_calendar_accepts_anything(void **state)
{
	static const struct calendar odd[] = {
		{ 0 }, { .second = 165, .minute = 165, .hour = 177, .day = 165, .month = 165, .year = 16665 },
		{ .day = 31, .month = 2, .year = 2023 }, { .month = 12, .year = 9999 },
	};
	static const int64_t far[] = { INT64_MIN / 2, -1, 0, INT64_MAX / 2 };
	struct calendar date;

	(void)state;
	for (size_t i = 0; row_of(odd, i); i++) {
		calendar_from_seconds(&date, calendar_to_seconds(&odd[i]));
		assert_in_range(date.month, 1, 12);
		assert_in_range(date.day, 1, 31);
	}
	for (size_t i = 0; row_of(far, i); i++) {
		calendar_from_seconds(&date, far[i]);
		assert_in_range(date.year, 0, 10000);
		assert_in_range(date.weekday, 0, 6);
	}
}

static void test_runs_and_formats(void **state)
{
	struct fixture *f = *state;

	expect_time(f, (const uint8_t[]){ 0x58, 0x59, 0x23, 3, 0x31, 0x12, 0x24, 0x20 });
	set(f, 0x0b, 0x04 | 0x02);	/* binary, 24 h */
	expect_time(f, (const uint8_t[]){ 58, 59, 23, 3, 31, 12, 24, 0x20 });
	set(f, 0x0b, 0x00);		/* BCD, 12 h */
	expect_time(f, (const uint8_t[]){ 0x58, 0x59, 0x91, 3, 0x31, 0x12, 0x24, 0x20 });
	clock_advance(2 * FAKE_HZ);
	expect_time(f, (const uint8_t[]){ 0x00, 0x00, 0x12, 4, 0x01, 0x01, 0x25, 0x20 });
	clock_advance(13 * 3600 * FAKE_HZ);
	assert_int_equal(get(f, 4), 0x81);	/* 1 pm */
	assert_int_equal(get(f, 0x0d), 0x80);
	assert_int_equal(get(f, 0x8d), 0x80);	/* the NMI bit of the index is not part of it */
	assert_int_equal(inb(&f->bus, 0x70), 0xff);
}

/* As Linux' mc146818_set_time: SET, stop the divider, write, go. */
static void test_set(void **state)
{
	static const struct { uint8_t reg, value; } writes[] = {
		{ 9, 0x30 }, { 8, 0x02 }, { 7, 0x28 }, { 4, 0x23 }, { 2, 0x59 }, { 0, 0x50 }, { 0x32, 0x20 },
	};
	struct fixture *f = *state;
	uint8_t b = get(f, 0x0b), a = get(f, 0x0a) & 0x7f;

	set(f, 0x0b, b | 0x80);
	set(f, 0x0a, a | 0x70);
	for (size_t i = 0; i < countof(writes); i++)
		set(f, writes[i].reg, writes[i].value);
	clock_advance(5 * FAKE_HZ);
	assert_int_equal(get(f, 0), 0x50);	/* held */
	set(f, 0x0b, b);
	set(f, 0x0a, a);
	clock_advance(11 * FAKE_HZ);
	expect_time(f, (const uint8_t[]){ 0x01, 0x00, 0x00, 6, 0x01, 0x03, 0x30, 0x20 });
	set(f, 2, 0x30);			/* one field alone, running */
	assert_int_equal(get(f, 2), 0x30);
	assert_int_equal(get(f, 0), 0x01);
}

/* UIP is up for 244 us before each update: a driver that sees it clear has that long to read. */
static void test_update_in_progress(void **state)
{
	struct fixture *f = *state;
	unsigned seen = 0;

	for (int i = 0; i < 20000; i++, clock_advance(fake_us(50))) {
		if (!(get(f, 0x0a) & 0x80))
			continue;
		seen++;
		assert_in_range((fake_now - f->rtc.s.base_time) % FAKE_HZ, FAKE_HZ - fake_us(250), FAKE_HZ - 1);
	}
	assert_in_range(seen, 4, 6);
}

static void test_periodic(void **state)
{
	static const struct { uint8_t rate; unsigned hz; } rows[] = {
		{ 1, 256 }, { 2, 128 }, { 3, 8192 }, { 6, 1024 }, { 15, 2 }, { 0, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; row_of(rows, i); i++) {
		unsigned count = 0;

		set(f, 0x0a, 0x20 | rows[i].rate);
		set(f, 0x0b, 0x42);
		(void)get(f, 0x0c);
		for (int us = 0; us < 1000000; us += 50) {
			clock_advance(fake_us(50));
			if (!f->line.is_high)
				continue;
			count++;
			assert_int_equal(get(f, 0x0c) & 0xc0, 0xc0);
			assert_false(f->line.is_high);
		}
		assert_in_range(count, rows[i].hz - (rows[i].hz > 0), rows[i].hz + 1);
	}
}

/* Nobody reads register C: one interrupt, and no timer that keeps firing for it. */
static void test_unread_is_quiet(void **state)
{
	struct fixture *f = *state;

	set(f, 0x0a, 0x23);
	set(f, 0x0b, 0x42);
	clock_advance(FAKE_HZ);
	assert_int_equal(f->line.rises, 1);
	assert_int_equal(timer_next(), TIMER_NEVER);
}

static void test_update_ended(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0x0c), 0);
	clock_jump(3 * FAKE_HZ);
	assert_int_equal(get(f, 0x0c) & 0x10, 0x10);	/* the flag rises without the interrupt */
	assert_int_equal(get(f, 0x0c), 0);
	set(f, 0x0b, 0x12);
	for (int i = 0; i < 5; i++) {
		clock_advance(FAKE_HZ);
		assert_true(f->line.is_high);
		assert_int_equal(get(f, 0x0c) & 0x90, 0x90);
	}
	set(f, 0x0b, 0x92);				/* SET clears UIE */
	assert_int_equal(get(f, 0x0b), 0x82);
}

static void test_alarm(void **state)
{
	static const struct { uint8_t hour, minute, second; unsigned after; } rows[] = {
		{ 0x00, 0x00, 0x10, 12 },	/* tomorrow */
		{ 0xff, 0xff, 0x05, 7 },	/* each minute */
		{ 0xff, 0xff, 0xff, 1 },	/* each second */
		{ 0xc0, 0x01, 0x00, 62 },	/* each hour */
		{ 0x23, 0x59, 0x58, 86400 },	/* now: that is a day ahead */
		{ 0x12, 0xff, 0x00, 12 * 3600 + 2 },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct fixture f;

		start(&f, NEW_YEAR_EVE, MIB, 0);
		set(&f, 5, rows[i].hour);
		set(&f, 3, rows[i].minute);
		set(&f, 1, rows[i].second);
		set(&f, 0x0b, 0x22);
		clock_advance(rows[i].after * FAKE_HZ - fake_us(1));
		assert_int_equal(f.line.rises, 0);
		clock_advance(fake_us(2));
		assert_int_equal(f.line.rises, 1);
		assert_int_equal(get(&f, 0x0c) & 0xa0, 0xa0);
		timer_disarm(&f.rtc.timer);
	}
}

static void test_alarm_never(void **state)
{
	struct fixture *f = *state;

	set(f, 5, 0x99);
	set(f, 0x0b, 0x22);
	clock_advance(3 * 86400 * FAKE_HZ);
	assert_int_equal(f->line.rises, 0);
}

/* Nobody reads register C or waits for an interrupt: the flags are brought up to now when the alarm is changed. */
static void test_changed_alarm_has_rung(void **state)
{
	struct fixture *f = *state;

	set(f, 5, 0xff);
	set(f, 3, 0xff);
	set(f, 1, 0x59);
	clock_advance(3 * FAKE_HZ);
	set(f, 1, 0x30);
	assert_int_equal(get(f, 0x0c) & 0x20, 0x20);
}

static void test_memory_sizes(void **state)
{
	static const struct { uint64_t low, high; unsigned base, ext, above16, above4g; } rows[] = {
		{ 512 * 1024, 0, 512, 0, 0, 0 },
		{ 16 * MIB, 0, 640, 15 * 1024, 0, 0 },
		{ 16 * MIB + 65536, 0, 640, 15 * 1024 + 64, 1, 0 },
		{ 256 * MIB, 0, 640, 65535, 240 * 16, 0 },
		{ 3072 * MIB, 5120 * MIB, 640, 65535, 3056 * 16, 5120 * 16 },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct fixture f;
		unsigned sum = 0;

		start(&f, 0, rows[i].low, rows[i].high);
		assert_int_equal(get(&f, 0x14), 0x06);		/* a coprocessor, a mouse */
		for (uint8_t at = 0x10; at < 0x2e; at++)
			sum += get(&f, at);
		assert_int_equal(get(&f, 0x2e) << 8 | get(&f, 0x2f), sum);
		assert_int_equal(get(&f, 0x15) | get(&f, 0x16) << 8, rows[i].base);
		assert_int_equal(get(&f, 0x17) | get(&f, 0x18) << 8, rows[i].ext);
		assert_int_equal(get(&f, 0x30) | get(&f, 0x31) << 8, rows[i].ext);
		assert_int_equal(get(&f, 0x34) | get(&f, 0x35) << 8, rows[i].above16);
		assert_int_equal(get(&f, 0x5b) | get(&f, 0x5c) << 8 | get(&f, 0x5d) << 16, rows[i].above4g);
		set(&f, 0x0f, 0x5a);		/* the rest is memory; a reset keeps it, as the battery does */
		set(&f, 0x7f, 0xa5);
		rtc_reset(&f.rtc);
		assert_int_equal(get(&f, 0x0f) << 8 | get(&f, 0x7f), 0x5aa5);
		timer_disarm(&f.rtc.timer);
	}
}

/* What is remembered of the time is what would be computed. */
static void check_time(struct fixture *f, uint8_t reg)
{
	uint8_t shown = get(f, reg);

	f->rtc.shown_until = 0;
	assert_int_equal(shown, get(f, reg));
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 3;

	for (int i = 0; i < 300000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed & 0x10000)
			set(f, (uint8_t)(seed >> 20) & 0x1f, (uint8_t)(seed >> 24));
		else
			(void)get(f, (uint8_t)(seed >> 20) & 0x1f);
		if (!(seed & 0xe0000))
			clock_jump((uint64_t)seed * 5);
		if ((seed & 0x300000) == 0x300000)
			check_time(f, (uint8_t)(seed >> 24) % 10);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar), cmocka_unit_test(test_calendar_accepts_anything),
		TEST(test_runs_and_formats), TEST(test_set), TEST(test_update_in_progress), TEST(test_periodic),
		TEST(test_unread_is_quiet), TEST(test_update_ended), cmocka_unit_test(test_alarm),
		TEST(test_alarm_never), TEST(test_changed_alarm_has_rung), cmocka_unit_test(test_memory_sizes), TEST(test_random),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
