/* SPDX-License-Identifier: MIT */
/*
 * pv/steal.c: what others took is told exactly, from when the guest asked, and a reader can see that it is being written. A flush
 * that a sibling asks for is never lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "arch/x86/pv/steal.h"
#include "guest_ram.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define AT	0x1040
#define HZ	2596142001ULL		/* a tick is no whole number of ns */
#define VERSION	8
#define PREEMPTED	16	/* in it: 1, the vCPU has no processor; 2, set by a sibling, flush */
#define ROUNDS	200000U

static unsigned written;		/* calls */
static struct vm vm;
static struct vcpu vcpu;

uint64_t time_hz(void) { return HZ; }
uint64_t mul_div64(uint64_t a, uint64_t b, uint64_t c) { return (uint64_t)((unsigned __int128)a * b / c); }

static uint64_t number(size_t at, size_t len)
{
	uint64_t val = 0;

	memcpy(&val, ram + at, len);
	return val;
}

/* The version is odd before the time changes, and until it has. */
bool gpm_write(struct gpm *gpm, gpa_t addr, const void *from, size_t len)
{
	const uint32_t before = (uint32_t)number(AT + VERSION, 4);

	if (!gpm_is_ram(gpm, addr, len))
		return false;
	memcpy(ram + addr.raw, from, len);
	if (addr.raw == AT)
		assert_int_equal(before % 2, 1);
	else
		assert_int_equal(number(AT + VERSION, 4) % 2, written % 3 == 0);
	written++;
	return true;
}

static int setup(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	written = 0;
	vcpu = (struct vcpu){ .vm = &vm };
	return 0;
}

static void test_told_exactly(void **state)
{
	uint64_t waited = 12 * HZ;

	(void)state;
	steal_tell(&vcpu, waited);			/* of an earlier life of the VM: nobody asked */
	assert_true(steal_write(&vcpu, AT | 1));
	steal_tell(&vcpu, waited);
	assert_int_equal(written, 0);
	assert_int_equal(touched, AT);
	for (unsigned i = 1; i <= 1000; i++) {
		steal_tell(&vcpu, waited += i);
		assert_int_equal(number(AT + VERSION, 4), 2 * i);
	}
	assert_int_equal(number(AT, 8), 500500 * NS_PER_SECOND / HZ);
	assert_true(steal_write(&vcpu, 0));		/* off */
	steal_tell(&vcpu, waited + HZ);
	assert_int_equal(number(AT, 8), 500500 * NS_PER_SECOND / HZ);
}

/* What is there stays: the guest may have come from elsewhere. An odd version was nobody's unfinished business. */
static void test_goes_on(void **state)
{
	const uint64_t before = 1000;
	const uint32_t version = 7;

	(void)state;
	memcpy(ram + AT, &before, sizeof(before));
	memcpy(ram + AT + VERSION, &version, sizeof(version));
	assert_true(steal_write(&vcpu, AT | 1));
	steal_tell(&vcpu, HZ);
	assert_int_equal(number(AT, 8), before + NS_PER_SECOND);
	assert_int_equal(number(AT + VERSION, 4), 8);
	assert_int_equal(number(AT + 16, 1), 0);		/* preempted */
}

static void test_refused(void **state)
{
	static const struct { uint64_t val; bool is_taken; } rows[] = {
		{ AT | 1, true }, { sizeof(ram) | 1, false }, { 0xfee00001, false }, { ~0x3fULL | 1, false }, { AT | 3, false },
		{ AT | 0x21, false }, { 0x20, false }, { 0xfee00000, true },	/* off: any address */
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		vcpu.pv_steal = 0x80;
		assert_int_equal(steal_write(&vcpu, rows[i].val), rows[i].is_taken);
		assert_int_equal(vcpu.pv_steal, rows[i].is_taken ? rows[i].val : 0x80);
	}
	vcpu.pv_steal = (AT + 0x20) | 1;		/* aligned, so that one piece of memory has it all */
	steal_tell(&vcpu, HZ);
	assert_int_equal(number(AT, 8), NS_PER_SECOND);
	written = 0;
	vcpu.pv_steal = sizeof(ram) | 1;		/* as a saved state may say that somebody has made */
	steal_tell(&vcpu, 2 * HZ);
	assert_int_equal(written, 0);
}

/* ---- Who has a processor ---- */

static void test_preempted(void **state)
{
	(void)state;
	vcpu_tell_preempted(&vcpu);			/* nobody asked */
	assert_false(vcpu_tell_running(&vcpu));
	assert_int_equal(ram[AT + PREEMPTED], 0);
	ram[AT + PREEMPTED] = 3;			/* an earlier kernel's */
	assert_true(steal_write(&vcpu, AT | 1));
	assert_int_equal(ram[AT + PREEMPTED], 0);	/* it runs */
	for (unsigned i = 0; i < 3; i++) {
		vcpu_tell_preempted(&vcpu);
		assert_int_equal(ram[AT + PREEMPTED], 1);
		assert_false(vcpu_tell_running(&vcpu));
		vcpu_tell_preempted(&vcpu);
		ram[AT + PREEMPTED] |= 2;
		assert_true(vcpu_tell_running(&vcpu));
		assert_int_equal(ram[AT + PREEMPTED], 0);
	}
	assert_int_equal(written, 0);			/* nothing beside that byte */
	ram[AT + PREEMPTED] = 2;
	vcpu.pv_steal = AT;				/* an address, switched off */
	assert_false(vcpu_tell_running(&vcpu));
	assert_int_equal(ram[AT + PREEMPTED], 2);
	vcpu.pv_steal = sizeof(ram) | 1;
	assert_false(vcpu_tell_running(&vcpu));
}

/* As Linux asks: only of one that has no processor, in one locked instruction; else it interrupts. */
static _Atomic bool is_over;
static uint64_t asked;

static void *ask(void *unused)
{
	while (!is_over) {
		uint8_t alone = 1;

		asked += __atomic_compare_exchange_n(ram + AT + PREEMPTED, &alone, 3, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	return unused;
}

/* Each that was taken for asked is flushed, exactly once, however the two meet. */
static void test_race(void **state)
{
	uint64_t flushed = 0;
	pthread_t sibling;

	(void)state;
	assert_true(steal_write(&vcpu, AT | 1));
	is_over = false;
	asked = 0;
	assert_int_equal(pthread_create(&sibling, NULL, ask, NULL), 0);
	for (unsigned i = 0; i < ROUNDS || (!flushed && i < 1000 * ROUNDS); i++) {
		vcpu_tell_preempted(&vcpu);
		flushed += vcpu_tell_running(&vcpu);
	}
	is_over = true;
	assert_int_equal(pthread_join(sibling, NULL), 0);
	assert_true(asked > 0);
	assert_int_equal(flushed, asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_told_exactly, setup), cmocka_unit_test_setup(test_goes_on, setup),
		cmocka_unit_test_setup(test_refused, setup), cmocka_unit_test_setup(test_preempted, setup),
		cmocka_unit_test_setup(test_race, setup),
	};

	return cmocka_run_group_tests_name("steal", tests, NULL, NULL);
}
