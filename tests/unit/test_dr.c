/* SPDX-License-Identifier: MIT */
/* The debug registers of a guest: what MOV DR reads and refuses, what #DB leaves in them, when hardware gets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "vcpu_fake.h"

#define USER_SS		0xf3U		/* present, DPL 3, data */
#define PATTERN		0x8123456789abcdefULL

static struct vcpu_fake fake;

static int set_up(void **unused)
{
	(void)unused;
	vcpu_fake_long(&fake);
	dr_reset(&fake.vcpu);
	fake_breakpoint_loads = 0;
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

/* ~0U: done; else the exception. */
static unsigned mov(uint8_t dr, bool is_read)
{
	const struct dr_access access = { .dr = dr, .gpr = GPR_R9, .is_read = is_read };
	unsigned before = fake.injected;
	enum exit_result result = exit_dr(&fake.vcpu, &access);

	assert_int_equal(result, fake.injected == before ? EXIT_SKIP : EXIT_RESUME);
	return fake.injected == before ? ~0U : fake.vector;
}

static bool write_dr(uint8_t dr, uint64_t val)
{
	fake.vcpu.gpr[GPR_R9] = val;
	return mov(dr, false) == ~0U;
}

static uint64_t read_dr(uint8_t dr)
{
	fake.vcpu.gpr[GPR_R9] = ~PATTERN;
	assert_int_equal(mov(dr, true), ~0U);
	return fake.vcpu.gpr[GPR_R9];
}

static void test_values(void **unused)
{
	static const struct { uint8_t dr; uint64_t val; bool ok; uint64_t reads; } rows[] = {
		{ 0, PATTERN, true, PATTERN }, { 1, 1, true, 1 }, { 2, ~0ULL, true, ~0ULL }, { 3, 0, true, 0 },
		{ 6, 0, true, 0xffff0ff0 }, { 6, 0xffffffff, true, 0xffffefff }, { 6, 1ULL << 32, false, 0xffffefff },
		{ 7, 0, true, 0x400 }, { 7, 0xffffdfff, true, 0xffff07ff }, { 7, 1ULL << 63, false, 0xffff07ff },
		{ 7, 0, true, 0x400 },
		{ 4, 0x4001, true, 0xffff4ff1 }, { 6, 0x8000, true, 0xffff8ff0 },
		{ 5, 0x300, true, 0x700 }, { 7, 0x55, true, 0x455 }, { 5, 0, true, 0x400 },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		if (write_dr(rows[i].dr, rows[i].val) != rows[i].ok)
			fail_msg("row %zu", i);
		if (!rows[i].ok)
			assert_true(fake.vector == VEC_GP && fake.error == 0);
		assert_int_equal(read_dr(rows[i].dr), rows[i].reads);
	}
	assert_int_equal(read_dr(4), read_dr(6));
	assert_int_equal(read_dr(5), read_dr(7));
}

/* Outside 64-bit mode operands have 32 bits, whatever the register still holds. */
static void test_32_bits(void **unused)
{
	(void)unused;
	fake.vcpu.dr[0] = PATTERN;
	fake.regs[REG_EFER] = 0;
	(void)nospec_took(0, 0);
	assert_int_equal(read_dr(0), lo32(PATTERN));
	assert_true(nospec_took(0, DR_ADDRESSES));
	assert_true(write_dr(0, 1) && nospec_took(0, DR_ADDRESSES));
	assert_true(write_dr(7, 1ULL << 32 | 0x300));
	assert_int_equal(fake.vcpu.dr7, 0x700);
}

static void test_refusals(void **unused)
{
	(void)unused;
	assert_int_equal(mov(8, true), VEC_UD);
	assert_int_equal(mov(15, false), VEC_UD);
	fake.regs[REG_CR4] |= CR4_DE;
	assert_int_equal(mov(4, true), VEC_UD);
	assert_int_equal(mov(5, false), VEC_UD);
	assert_int_equal(mov(6, true), ~0U);
	fake.segs[SEG_SS].rights = USER_SS;
	fake.vcpu.dr7 |= DR7_GD;
	for (uint8_t dr = 0; dr < 8; dr++) {
		assert_int_equal(mov(dr, true), dr == 4 || dr == 5 ? VEC_UD : VEC_GP);
		assert_int_equal(mov(dr, false), dr == 4 || dr == 5 ? VEC_UD : VEC_GP);
	}
	assert_int_equal(fake.vcpu.dr6, DR6_RESET);
}

static void test_general_detect(void **unused)
{
	(void)unused;
	assert_true(write_dr(7, DR7_GD));
	assert_int_equal(fake.regs[REG_DR7], DR7_RESET);	/* ours to notice, not hardware's */
	assert_int_equal(mov(0, false), VEC_DB);
	assert_int_equal(fake.vcpu.dr7, DR7_RESET);
	assert_int_equal(read_dr(6), DR6_RESET | DR6_BD);
	assert_int_equal(fake.vcpu.dr[0], 0);
}

/* SDM vol. 3, 18.2.3 "Debug Status Register (DR6)": B0-B3 may be cleared by the processor, the others are not. */
static void test_status(void **unused)
{
	static const struct { uint64_t dr7, bits, want; } rows[] = {
		{ 0x401, DR6_BS | 1, 0x4001 }, { 0x401, 2, 0x4002 }, { 0x401, DR6_BD, 0x6000 },
		{ 0x400, DR6_BS | 0xf, 0x6000 },	/* none is enabled: others' conditions */
		{ 0x480, 8, 0x6008 }, { 0x480, 0, 0x6008 },
		{ 0x480, BIT(11) | BIT(12) | BIT(16) | 4, 0x6004 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		fake.vcpu.dr7 = rows[i].dr7 | DR7_GD;
		dr_raise(&fake.vcpu, rows[i].bits);
		assert_int_equal(fake.vector, VEC_DB);
		assert_int_equal(fake.vcpu.dr6, DR6_RESET | rows[i].want);
		assert_int_equal(fake.vcpu.dr7, rows[i].dr7);
	}
}

static void test_hardware(void **unused)
{
	(void)unused;
	assert_true(write_dr(3, PATTERN));
	assert_true(write_dr(7, 0xffff0300));
	dr_load(&fake.vcpu);
	assert_int_equal(fake_breakpoint_loads, 0);		/* nothing is enabled */
	assert_true(write_dr(7, 0x80));
	assert_int_equal(fake_breakpoint_loads, 1);
	assert_int_equal(fake_breakpoints[3], PATTERN);
	assert_int_equal(fake.regs[REG_DR7], 0x480);
	assert_true(write_dr(0, 5));
	assert_int_equal(fake_breakpoints[0], 5);
	dr_load(&fake.vcpu);
	assert_int_equal(fake_breakpoint_loads, 3);
	assert_true(write_dr(7, 0));
	assert_int_equal(fake.regs[REG_DR7], DR7_RESET);
	assert_int_equal(fake_breakpoint_loads, 3);
}

/* SDM vol. 3, 18.4.3 "Single-Stepping on Branches": with BTF no instruction that we emulate is stepped. */
static void test_step_due(void **unused)
{
	static const struct { uint64_t flags, debugctl; bool want; } rows[] = {
		{ RFLAGS_ONE, 0, false }, { RFLAGS_TF, 0, true }, { RFLAGS_TF, DEBUGCTL_BTF, false }, { 0, DEBUGCTL_BTF, false },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		fake.regs[REG_RFLAGS] = rows[i].flags;
		fake.regs[REG_DEBUGCTL] = rows[i].debugctl;
		assert_int_equal(dr_step_due(&fake.vcpu), rows[i].want);
	}
}

/* INT1 is an event of its own type: without a reason in DR6, returning behind itself. */
static void test_int1(void **unused)
{
	(void)unused;
	fake.vcpu.dr7 |= DR7_GD;
	dr_raise_int1(&fake.vcpu, 1);
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.event.type, VEVENT_PRIV_SOFT);
	assert_int_equal(fake.event.vector, VEC_DB);
	assert_int_equal(fake.event.insn_len, 1);
	assert_int_equal(fake.vcpu.dr6, DR6_RESET);
	assert_int_equal(fake.vcpu.dr7 & DR7_GD, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_32_bits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_general_detect, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hardware, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_step_due, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_int1, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("dr", tests, NULL, NULL);
}
