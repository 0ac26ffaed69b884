/* SPDX-License-Identifier: MIT */
/* The memory type registers as words: what a guest finds at its start, and what it is told it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/exit/mtrr.h"
#include "arch/x86/hw/msr.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

static struct vcpu vcpu;

static uint64_t read(uint32_t msr)
{
	return *mtrr_slot(&vcpu, msr);
}

/* Whatever was there before: fixed ranges write-back, no variable range, both kinds switched on. */
static void test_reset(void **unused)
{
	static const uint32_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

	(void)unused;
	memset(vcpu.mtrr, 0xa5, sizeof(vcpu.mtrr));
	mtrr_reset(&vcpu);
	for (uint32_t msr = 0x200; msr < 0x210; msr++)
		if (read(msr) != 0)
			fail_msg("MSR %x: %llx", msr, (unsigned long long)read(msr));
	for (size_t i = 0; i < countof(fixed); i++)
		if (read(fixed[i]) != 0x0606060606060606)
			fail_msg("MSR %x: %llx", fixed[i], (unsigned long long)read(fixed[i]));
	(void)nospec_took(0, 0);
	assert_int_equal(read(0x2ff), 0xc06);
	assert_true(nospec_took((size_t)(mtrr_slot(&vcpu, 0x2ff) - vcpu.mtrr), MTRR_REGS));
}

/* SDM vol. 3, 12.11.1 "MTRR Feature Identification": eight pairs, fixed ranges, write-combining, no SMRR. */
static void test_capability(void **unused)
{
	(void)unused;
	assert_int_equal(MTRRCAP_HERE, 0x508);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_reset), cmocka_unit_test(test_capability) };

	return cmocka_run_group_tests_name("mtrr", tests, NULL, NULL);
}
