/* SPDX-License-Identifier: MIT */
/* pv/eoi.c: one bit of the guest's word is ours, and says whether the guest has ended its interrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "arch/x86/pv/eoi.h"
#include "guest_ram.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define AT	0x1044

static uint64_t settled_in;	/* the MSR when the local APIC was asked to settle */
static struct vm vm;
static struct vcpu vcpu;

void lapic_settle_elsewhere(struct lapic *lapic) { assert_ptr_equal(lapic, &vcpu.lapic); settled_in = vcpu.pv_eoi; }

static bool is_read_only;	/* no write gets through */

bool gpm_read16(struct gpm *gpm, gpa_t addr, uint16_t *to) { return gpm_read(gpm, addr, to, sizeof(*to)); }

bool gpm_write16(struct gpm *gpm, gpa_t addr, uint16_t val)
{
	if (is_read_only || !gpm_is_ram(gpm, addr, sizeof(val)))
		return false;
	memcpy(ram + addr.raw, &val, sizeof(val));
	return true;
}

static int setup(void **state)
{
	(void)state;
	memset(ram, 0xa4, sizeof(ram));		/* whatever the guest keeps in the other bits stays */
	vcpu = (struct vcpu){ .vm = &vm };
	return 0;
}

static void check_word(uint8_t first)
{
	const uint8_t want[] = { 0xa4, first, 0xa4, 0xa4, 0xa4, 0xa4 };

	assert_memory_equal(ram + AT - 1, want, sizeof(want));
}

static void test_offers(void **state)
{
	(void)state;
	assert_false(vcpu_offer_eoi(&vcpu));		/* nobody asked */
	assert_false(vcpu_withdraw_eoi(&vcpu));
	check_word(0xa4);
	assert_true(eoi_write(&vcpu, AT | 1));
	assert_int_equal(touched, AT);
	assert_true(vcpu_offer_eoi(&vcpu));
	check_word(0xa5);
	assert_false(vcpu_withdraw_eoi(&vcpu));	/* it has not been accepted, and cannot be any more */
	check_word(0xa4);
	assert_true(vcpu_offer_eoi(&vcpu));
	ram[AT] = 0xa4;
	assert_true(vcpu_withdraw_eoi(&vcpu));
	check_word(0xa4);
}

/* An offer that was made is settled in the word in which it was made. */
static void test_moves(void **state)
{
	(void)state;
	vcpu.lapic.is_elsewhere = true;
	assert_true(eoi_write(&vcpu, AT | 1));
	assert_true(eoi_write(&vcpu, 0x100 | 1));
	assert_int_equal(settled_in, AT | 1);
	assert_true(eoi_write(&vcpu, 0));
	assert_int_equal(settled_in, 0x100 | 1);
	assert_false(vcpu_offer_eoi(&vcpu));
	assert_false(vcpu_withdraw_eoi(&vcpu));
}

static void test_refused(void **state)
{
	static const struct { uint64_t val; bool is_taken; } rows[] = {
		{ AT | 1, true }, { 0x1ffc | 1, true }, { sizeof(ram) | 1, false }, { ~3ULL | 1, false }, { AT | 3, false },
		{ 2, false }, { 0xfee00000, true },	/* off: any address */
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		vcpu.pv_eoi = 0x80;
		assert_int_equal(eoi_write(&vcpu, rows[i].val), rows[i].is_taken);
		assert_int_equal(vcpu.pv_eoi, rows[i].is_taken ? rows[i].val : 0x80);
	}
	vcpu.pv_eoi = AT | 1;
	is_read_only = true;
	assert_false(vcpu_offer_eoi(&vcpu));		/* an offer that was not written would be taken for accepted */
	is_read_only = false;
	vcpu.pv_eoi = sizeof(ram) | 1;		/* as a saved state may say that somebody has made */
	assert_false(vcpu_offer_eoi(&vcpu));
	assert_false(vcpu_withdraw_eoi(&vcpu));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_offers, setup), cmocka_unit_test_setup(test_moves, setup),
		cmocka_unit_test_setup(test_refused, setup),
	};

	return cmocka_run_group_tests_name("eoi", tests, NULL, NULL);
}
