/* SPDX-License-Identifier: MIT */
/* pv/pvclock.c: the scale by the guest's own arithmetic, and what the two MSRs write and refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "arch/x86/pv/pvclock.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define GHZ	1000000000ULL
#define TIME_AT	0x1000
#define WALL_AT	0x2000

static uint64_t now, hz;

uint64_t time_now(void) { return now; }
uint64_t time_hz(void) { return hz; }
uint64_t mul_div64(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

/* What Linux computes: pvclock_scale_delta(). */
static uint64_t guest_ns(uint64_t ticks, struct pvclock_scale scale)
{
	ticks = scale.shift < 0 ? ticks >> -scale.shift : ticks << scale.shift;
	return (uint64_t)((unsigned __int128)ticks * scale.mul >> 32);
}

static void scales(void **state)
{
	static const uint64_t rates[] = { 1, 50000000, 999999999, GHZ, GHZ + 1, 2 * GHZ, 2596142000, 5 * GHZ, 40 * GHZ };

	(void)state;
	for (size_t i = 0; row_of(rates, i); i++) {
		struct pvclock_scale scale = pvclock_scale_of(rates[i]);
		uint64_t second = guest_ns(rates[i], scale), error = second > GHZ ? second - GHZ : GHZ - second;

		assert_true(scale.mul >= 1U << 31);
		assert_true(error <= 20);	/* of 10^9 */
	}
	assert_true(pvclock_scale_of(0).mul);	/* no rate: no division by zero */
}

/* Guest memory, as far as this file needs it: two pages. */
static uint8_t ram[0x3000];
static bool is_touched;		/* else gpm_touch populates a part of it */

bool gpm_touch(struct gpm *gpm, gpa_t addr, uint64_t len)
{
	(void)gpm;
	(void)addr;
	(void)len;
	return is_touched;
}

static bool only_looks;
void gpm_only_look(bool is_on) { only_looks = is_on; }

bool gpm_write(struct gpm *gpm, gpa_t addr, const void *from, size_t len)
{
	(void)gpm;
	assert_int_equal(only_looks, !is_touched);	/* else it would populate more */
	if (!range_fits(addr.raw, len, sizeof(ram)))
		return false;
	memcpy(ram + addr.raw, from, len);
	return true;
}

static uint64_t number(size_t at, size_t len)
{
	uint64_t val = 0;

	memcpy(&val, ram + at, len);
	return val;
}

static struct machine machine;
static struct vm vm;
static struct vcpu vcpu;

/* The VM started at 1000 s of the host's clock; 1.5 s have passed. Its RTC said 5000 s there. */
static int setup(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	memset(&vcpu, 0, sizeof(vcpu));
	hz = 2 * GHZ;
	is_touched = true;
	machine.rtc.s.base_seconds = 5000;
	machine.rtc.s.base_time = 0;
	vm.machine = &machine;
	vm.clock = (struct vm_clock){ .is_running = true, .offset = 0 - 1000 * hz };
	vcpu.vm = &vm;
	now = 1000 * hz + 3 * GHZ;
	return 0;
}

static void time_is_written(void **state)
{
	(void)state;
	assert_true(pvclock_write_time(&vcpu, TIME_AT | 1));
	assert_int_equal(number(TIME_AT, 4) % 2, 0);			/* version: even, finished */
	assert_int_equal(number(TIME_AT + 8, 8), 3 * GHZ);		/* the guest's TSC */
	assert_int_equal(number(TIME_AT + 16, 8), 3 * GHZ / 2);		/* ns */
	assert_int_equal(number(TIME_AT + 29, 1), 1);			/* stable */
	assert_int_equal(vcpu.pv_time, TIME_AT | 1);

	vcpu.tsc_offset += 7;						/* the guest wrote its TSC */
	pvclock_update(&vcpu);
	assert_int_equal(number(TIME_AT + 8, 8), 3 * GHZ + 7);

	assert_true(pvclock_write_time(&vcpu, 0));	/* off */
	memset(ram, 0, sizeof(ram));
	pvclock_update(&vcpu);
	assert_int_equal(number(TIME_AT + 8, 8), 0);
}

static void wall_is_written(void **state)
{
	(void)state;
	assert_true(pvclock_write_wall(&vcpu, WALL_AT));
	assert_int_equal(number(WALL_AT + 4, 4), 5000);
	assert_int_equal(number(WALL_AT + 8, 4), 0);
	assert_int_equal(vm.machine_lock.drawn, 0);
}

/* A sibling on another processor may be setting the RTC. */
static void wall_is_read_locked(void **state)
{
	(void)state;
	vm.is_spread = true;
	vm.machine_lock = (struct lock){ .rank = LOCK_MACHINE };
	assert_true(pvclock_write_wall(&vcpu, WALL_AT));
	assert_int_equal(vm.machine_lock.drawn, 1);
	assert_int_equal(vm.machine_lock.served, 1);
	vm.is_spread = false;
}

/* The guest sets its RTC: the wall clock at the origin plus the time since is what the RTC shows. */
static void wall_follows_the_rtc(void **state)
{
	static const struct { int64_t seconds; uint64_t at; uint32_t sec, nsec; } rows[] = {
		{ 1000000, 6 * GHZ, 999997, 0 },	/* 2 GHz: set 3 s after the start */
		{ 1000000, GHZ / 2, 999999, 750000000 },
		{ 4102444800, 2, 4102444799, 999999999 },
		{ 2, 8 * GHZ, 0, 0 },			/* the origin lies before 1970 */
		{ -5, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		machine.rtc.s.base_seconds = rows[i].seconds;
		machine.rtc.s.base_time = rows[i].at;
		assert_true(pvclock_write_wall(&vcpu, WALL_AT));
		if (number(WALL_AT + 4, 4) != rows[i].sec || number(WALL_AT + 8, 4) != rows[i].nsec)
			fail_msg("row %zu: %llu s, %llu ns", i, (unsigned long long)number(WALL_AT + 4, 4),
				 (unsigned long long)number(WALL_AT + 8, 4));
	}
}

/* Both in memory that nobody has touched. */
static void populates_once(void **state)
{
	(void)state;
	is_touched = false;
	assert_true(pvclock_write_time(&vcpu, TIME_AT | 1));
	assert_true(pvclock_write_wall(&vcpu, WALL_AT));
	assert_int_equal(number(WALL_AT + 4, 4), 5000);
	assert_false(only_looks);
}

static void no_memory_there(void **state)
{
	(void)state;
	assert_false(pvclock_write_time(&vcpu, 0xfee00001));	/* #GP */
	assert_false(pvclock_write_time(&vcpu, ~0ULL));
	assert_false(pvclock_write_time(&vcpu, (sizeof(ram) - 16) | 1));
	assert_false(pvclock_write_wall(&vcpu, sizeof(ram)));
	assert_int_equal(vcpu.pv_time, 0);
	assert_true(pvclock_write_time(&vcpu, 0xfee00000));	/* off: any address */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scales), cmocka_unit_test_setup(time_is_written, setup),
		cmocka_unit_test_setup(wall_is_written, setup), cmocka_unit_test_setup(wall_is_read_locked, setup),
		cmocka_unit_test_setup(populates_once, setup),
		cmocka_unit_test_setup(wall_follows_the_rtc, setup), cmocka_unit_test_setup(no_memory_there, setup),
	};

	return cmocka_run_group_tests_name("pvclock", tests, NULL, NULL);
}
