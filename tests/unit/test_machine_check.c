/* SPDX-License-Identifier: MIT */
/* arch/x86/host/machine_check.c: errors are switched on everywhere, noted where they are, and printed by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/machine_check.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"
#include "insn_fake.h"
#include "log_fake.h"

/* SDM vol. 4: IA32_MCG_CAP, _STATUS, _CTL; then IA32_MC0_CTL, _STATUS, _ADDR, _MISC, and four for each further bank. */
enum { CAP = 0x179, STATUS, CTL, BANK = 0x400 };

static uint32_t features;

static struct cpuid_regs cpuid_1(uint32_t leaf, uint32_t subleaf)
{
	assert_true(leaf == 1 && subleaf == 0);
	return (struct cpuid_regs){ .edx = features };
}

static struct fake_msr *of_bank(uint32_t bank, uint32_t which) { return insn_fake_msr(BANK + 4 * bank + which); }

static void make_banks(uint32_t count, uint64_t cap)
{
	insn_fake_msr(CAP)->val = cap;
	insn_fake_msr(STATUS)->val = 5;
	for (uint32_t bank = 0; bank < count; bank++)
		for (uint32_t which = 0; which < 4; which++)
			(void)of_bank(bank, which);
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	log_fake_init();
	insn_fake.cpuid = cpuid_1;
	features = BIT(7) | BIT(14);
	return 0;
}

static void test_enable(void **unused)
{
	(void)unused;
	make_banks(3, 3 | BIT(8));
	insn_fake_msr(CTL);
	of_bank(2, 1)->val = BIT(63);		/* the firmware's */
	machine_check_enable();
	assert_int_equal(insn_fake_msr(CTL)->val, ~0ULL);
	for (uint32_t bank = 0; bank < 3; bank++) {
		assert_int_equal(of_bank(bank, 0)->val, ~0ULL);
		assert_int_equal(of_bank(bank, 1)->writes, 1);
	}
	assert_int_equal(of_bank(2, 1)->val, 0);
}

/* Without MCG_CTL_P the register is not there, and without both bits of CPUID nothing is. */
static void test_enable_less(void **unused)
{
	(void)unused;
	make_banks(2, 1);
	insn_fake_msr(CTL);
	machine_check_enable();
	assert_int_equal(insn_fake_msr(CTL)->writes, 0);
	assert_int_equal(of_bank(0, 0)->writes, 1);
	assert_int_equal(of_bank(1, 0)->writes, 0);
	for (uint32_t bit = 7; bit <= 14; bit += 7) {
		features = (uint32_t)BIT(bit);
		machine_check_enable();
		assert_int_equal(of_bank(0, 0)->writes, 1);
	}
}

static void test_note(void **unused)
{
	struct machine_check note = { .count = 9 };

	(void)unused;
	make_banks(7, 7);
	machine_check_note(&note);
	assert_int_equal(note.count, 0);
	machine_check_log(&note);
	assert_int_equal(log_fake_lines, 0);
	of_bank(1, 1)->val = BIT(63) | BIT(61) | BIT(58) | 0x134;
	of_bank(4, 1)->val = BIT(63) | BIT(59);
	of_bank(5, 1)->val = BIT(62) | BIT(58);		/* not valid */
	for (uint32_t bank = 0; bank < 7; bank++) {
		of_bank(bank, 2)->val = 0xa0 + bank;
		of_bank(bank, 3)->val = 0xb0 + bank;
	}
	machine_check_note(&note);
	machine_check_log(&note);
	assert_string_equal(log_fake_text,
			    "  2 bank(s) of the machine check hold an error, global status 5\n"
			    "  bank 1: an uncorrected error, status a400000000000134, address 00000000000000a1, misc 0000000000000000\n"
			    "  bank 4: a corrected error, status 8800000000000000, address 0000000000000000, misc 00000000000000b4\n");
	assert_int_equal(of_bank(4, 2)->reads + of_bank(1, 3)->reads, 0);	/* they may not be there */
}

static void test_no_banks(void **unused)
{
	struct machine_check note = { .global = 9, .count = 9 };

	(void)unused;
	features = 0;
	machine_check_note(&note);
	assert_int_equal(note.global + note.count, 0);
}

/* More than there is room for are counted; a number of banks that cannot be is not believed. */
static void test_many(void **unused)
{
	struct machine_check note;

	(void)unused;
	make_banks(8, 255);
	for (uint32_t bank = 0; bank < 8; bank++)
		of_bank(bank, 1)->val = BIT(63);
	insn_fake_msr(BANK + 4 * 32 + 1)->val = BIT(63);
	machine_check_note(&note);
	assert_int_equal(note.count, 8);
	assert_int_equal(note.banks[MC_BANKS_NOTED - 1].index, MC_BANKS_NOTED - 1);
	machine_check_log(&note);
	assert_int_equal(log_fake_lines, 1 + MC_BANKS_NOTED);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_enable), TEST(test_enable_less), TEST(test_note), TEST(test_no_banks), TEST(test_many) };

	return cmocka_run_group_tests_name("machine_check", tests, NULL, NULL);
}
