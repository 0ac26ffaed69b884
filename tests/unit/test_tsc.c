/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/tsc.c: a time-stamp counter measured against an 8254 and a clock of this test, sound and
 * broken ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "insn_fake.h"
#include "log_fake.h"

/* The driver measures once and remembers: its file is included so that a test can let it forget. */
#include "arch/x86/host/tsc.c"

uint64_t time_now(void) { return rdtsc(); }

#define HZ	2400000000ULL	/* what the TSC really does */
#define READ	1000U		/* ticks that an access to a port takes */

static struct {
	bool     counts, is_high_at_once;
	unsigned stretched;		/* windows that an SMI makes longer */
	uint8_t  port_b, command, low;
	bool     has_low;
	uint16_t count;
	uint64_t start;
	unsigned windows;
} pit;

static struct {
	bool    ticks, is_updating;
	uint8_t index, regs[128];
	uint64_t second_start;
} rtc;

/* 82C54, mode 0: the output rises when the count has run down, which begins when the gate opens. */
static bool pit_output(void)
{
	uint64_t needed = (uint64_t)pit.count * HZ / 1193182;

	if (pit.is_high_at_once)
		return true;
	if (pit.windows <= pit.stretched)
		needed += needed * pit.windows / 10;	/* each by another length */
	return pit.counts && (pit.port_b & 1) && insn_fake.tsc - pit.start >= needed;
}

static void rtc_advance(void)
{
	while (rtc.ticks && insn_fake.tsc - rtc.second_start >= HZ) {
		rtc.second_start += HZ;
		rtc.regs[0] = rtc.regs[0] == 0x59 ? 0 : (uint8_t)(rtc.regs[0] % 16 == 9 ? rtc.regs[0] + 7 : rtc.regs[0] + 1);
	}
}

static uint32_t port_in(uint16_t port, unsigned size)
{
	assert_int_equal(size, 1);
	insn_fake.tsc += READ;
	if (port == 0x61)
		return (uint8_t)((pit.port_b & 0x03) | (pit_output() ? 0x20 : 0));
	assert_int_equal(port, 0x71);
	rtc_advance();
	if ((rtc.index & 0x7f) == 0x0a) {
		bool was = rtc.is_updating;

		rtc.is_updating = false;	/* it lasts for one look */
		return was ? 0xa6 : 0x26;
	}
	return rtc.regs[rtc.index & 0x7f];
}

static void port_out(uint16_t port, unsigned size, uint32_t val)
{
	assert_int_equal(size, 1);
	insn_fake.tsc += READ;
	switch (port) {
	case 0x61:
		if ((val & 1) && !(pit.port_b & 1)) {
			assert_false(val & 2);		/* nobody wants to hear it */
			pit.start = insn_fake.tsc;
			pit.windows++;
		}
		pit.port_b = (uint8_t)val;
		break;
	case 0x43:
		assert_int_equal(val, 0xb0);		/* channel 2, both bytes, mode 0 */
		pit.has_low = false;
		break;
	case 0x42:
		if (!pit.has_low)
			pit.low = (uint8_t)val;
		else
			pit.count = (uint16_t)(val << 8 | pit.low);
		pit.has_low = !pit.has_low;
		break;
	case 0x70:
		assert_true(val & 0x80);		/* NMIs stay off meanwhile */
		rtc.index = (uint8_t)val;
		break;
	default:
		fail();
	}
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	insn_fake.in = port_in;
	insn_fake.out = port_out;
	insn_fake.tsc_step = 20;
	memset(&pit, 0, sizeof(pit));
	memset(&rtc, 0, sizeof(rtc));
	pit.counts = rtc.ticks = true;
	pit.port_b = 0x02;
	log_fake_init();
	tsc_hz = 0;
	return 0;
}

static bool is_close(uint64_t hz) { return hz > HZ - HZ / 500 && hz < HZ + HZ / 500; }

/* ---- Against the 8254 ---- */

static void test_measured_once(void **unused)
{
	(void)unused;
	assert_true(is_close(time_hz()));		/* whoever asks first pays */
	assert_int_equal(pit.windows, 3);
	assert_int_equal(pit.port_b & 3, 0);		/* the gate is shut, the speaker silent */
	tsc_init();
	assert_int_equal(pit.windows, 3);
	assert_int_equal(log_fake_lines, 1);
}

/* An SMI can only stretch a window: the shortest counts, if another agrees with it. */
static void test_disturbed(void **unused)
{
	(void)unused;
	pit.stretched = 2;
	assert_true(is_close(time_hz()));
	assert_int_equal(pit.windows, 4);
	assert_null(strstr(log_fake_text, "TZ-W025"));
}

static void test_always_disturbed(void **unused)
{
	(void)unused;
	pit.stretched = 8;
	assert_true(is_close(time_hz()));		/* the ninth was undisturbed */
	assert_int_equal(pit.windows, 9);
	assert_non_null(strstr(log_fake_text, "TZ-W025 the shortest of 9 measurements"));	/* which nobody can know */
}

/* ---- Without one: some chip sets gate its clock off ---- */

static void test_rtc(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		set_up(NULL);
		pit.counts = false;
		pit.is_high_at_once = i;
		rtc.regs[0] = 0x58;			/* over the minute's end */
		assert_true(is_close(time_hz()));
		assert_non_null(strstr(log_fake_text, "measuring the TSC against the real-time clock"));
	}
}

static void test_nothing_ticks(void **unused)
{
	(void)unused;
	pit.counts = rtc.ticks = false;
	assert_int_equal(time_hz(), 1000000000);
	assert_non_null(strstr(log_fake_text, "TZ-W020"));
}

/* ---- The date: MC146818 data sheet, status register B: bit 1 24 hours, bit 2 binary ---- */

static void test_date(void **unused)
{
	static const struct { uint8_t status, hour; bool is_binary; int64_t want_hour; } rows[] = {
		{ 0x02, 0x23, false, 23 }, { 0x06, 23, true, 23 }, { 0x00, 0x12, false, 0 }, { 0x00, 0x92, false, 12 },
		{ 0x00, 0x11, false, 11 }, { 0x00, 0x91, false, 23 }, { 0x04, 0x80 | 11, true, 23 }, { 0x04, 12, true, 0 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(NULL);
		rtc.ticks = false;
		rtc.regs[0x0b] = rows[i].status;
		rtc.regs[0] = rows[i].is_binary ? 56 : 0x56;
		rtc.regs[2] = rows[i].is_binary ? 34 : 0x34;
		rtc.regs[4] = rows[i].hour;
		rtc.regs[7] = rows[i].is_binary ? 29 : 0x29;
		rtc.regs[8] = 2;
		rtc.regs[9] = rows[i].is_binary ? 24 : 0x24;
		/* date -u -d "2024-02-29 00:34:56" +%s */
		tsc_init();
		assert_int_equal(host_rtc_seconds(), 1709166896 + 3600 * rows[i].want_hour);
	}
}

/* It ticks between two readings: read again until two agree. */
static void test_date_while_it_ticks(void **unused)
{
	(void)unused;
	rtc.regs[0x0b] = 0x02;
	rtc.regs[7] = rtc.regs[8] = 1;
	rtc.regs[0] = 0x29;
	rtc.is_updating = true;
	rtc.second_start = insn_fake.tsc - HZ + 9 * READ;	/* in the middle of the second reading */
	assert_int_equal(rtc_seconds() % 60, 30);
	assert_false(rtc.is_updating);
}

/* The chip is read once; from there on the TSC counts. */
static void test_date_goes_on(void **unused)
{
	uint64_t start;

	(void)unused;
	rtc.regs[0x0b] = 0x02;
	rtc.regs[7] = rtc.regs[8] = 1;
	tsc_init();
	start = host_rtc_seconds();
	insn_fake.in = NULL;
	insn_fake.out = NULL;
	insn_fake.tsc += 3 * HZ + HZ / 2;
	assert_in_range(host_rtc_seconds(), start + 3, start + 4);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_measured_once), TEST(test_disturbed), TEST(test_always_disturbed), TEST(test_rtc), TEST(test_nothing_ticks),
		TEST(test_date), TEST(test_date_while_it_ticks), TEST(test_date_goes_on),
	};

	return cmocka_run_group_tests_name("tsc", tests, NULL, NULL);
}
