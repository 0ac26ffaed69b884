/* SPDX-License-Identifier: MIT */
/* exit/dump.c: what a stranger reads about a vCPU, in one line or in a hundred. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/exit.h"
#include "hv/lib/util.h"
#include "hv/vga_text.h"
#include "vcpu_fake.h"

#define UNTOUCHED	0x300000U

static struct vcpu_fake fake;

const char *exit_name(uint32_t reason)
{
	return reason == 7 ? "I/O instruction" : "HLT";
}

static bool dump_block(struct vcpu *vcpu, unsigned line)
{
	static const char *const texts[] = { "  the control block", "  its other half" };

	if (line < countof(texts))
		vm_log(vcpu->vm, "%s", texts[line]);
	return line < countof(texts);
}

static int setup(void **state)
{
	static struct virt_backend backend;

	(void)state;
	vcpu_fake_init(&fake);
	backend = *virt;
	backend.block_name = "VMCB";
	backend.dump = dump_block;
	virt = &backend;
	fake.vcpu.exit.rip = fake.regs[REG_RIP] = 0x7c00;
	vcpu_fake_put(&fake, 0x7c00, "\xec\xa8\x20", 3);	/* in al, dx; test al, 20h */
	fake.vcpu.state = VCPU_READY;
	fake_vm_log[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vcpu_fake_free(&fake);
	return 0;
}

static void note(uint32_t reason, enum touch_kind kind, uint64_t addr)
{
	const struct exit_record record = { .rip = 0x7c00, .reason = reason };

	trace_exit(&fake.vcpu.trace, fake.vcpu.exits++, &record);
	if (kind < TOUCH_KINDS)
		vcpu_touch(&fake.vcpu, kind, addr);
}

static void check_where(const char *expect)
{
	fake_vm_log[0] = '\0';
	vcpu_where(&fake.vcpu);
	assert_string_equal(fake_vm_log, expect);
}

static void test_where(void **state)
{
	uint64_t populated;
	uint8_t  byte;

	(void)state;
	check_where("vcpu 0 runs: real mode, rip 7c00, in al, dx; 0 exits\n");
	note(1, TOUCH_KINDS, 0);
	check_where("vcpu 0 runs: real mode, rip 7c00, in al, dx; 1 exits\n");
	for (unsigned i = 0; i < 3; i++)
		note(1, TOUCH_IN, 0x71);		/* three times are no "again and again" */
	check_where("vcpu 0 runs: real mode, rip 7c00, in al, dx; 4 exits\n");
	note(1, TOUCH_IN, 0x71);
	check_where("vcpu 0 runs: real mode, rip 7c00, in al, dx; reads port 71 at 4 of its last 5 exits; 5 exits\n");
	for (unsigned i = 0; i < 20; i++)
		note(7, i % 4 ? TOUCH_IN : TOUCH_OUT, i % 4 ? 0x3fd : 0x80);
	check_where("vcpu 0 runs: real mode, rip 7c00, in al, dx; "
		    "reads port 3fd at 12 of its last 16 exits; 25 exits\n");
	for (unsigned i = 0; i < 16; i++)
		note(7, i % 2 ? TOUCH_IN : TOUCH_OUT, i % 2 ? 0x3fd : 0x80);
	check_where("vcpu 0 runs: real mode, rip 7c00, in al, dx; "
		    "reads port 3fd at 8 of its last 16 exits; 41 exits\n");	/* of two as frequent ones the later */
	for (unsigned i = 0; i < 16; i++)
		note(3, TOUCH_STORE, 0xfee000b0);
	fake.vcpu.exit.rip = 0xffff0000;
	fake.vcpu.state = VCPU_HALTED;
	check_where("vcpu 0 is halted: real mode, rip ffff0000, cannot be fetched; "
		    "writes memory at fee000b0 at 16 of its last 16 exits; 57 exits\n");
	populated = fake.vm.gpm.populated;
	fake.vcpu.exit.rip = UNTOUCHED;			/* RAM, and stays untouched */
	check_where("vcpu 0 is halted: real mode, rip 300000, cannot be fetched; "
		    "writes memory at fee000b0 at 16 of its last 16 exits; 57 exits\n");
	while (vcpu_dump(&fake.vcpu))
		continue;
	assert_int_equal(fake.vm.gpm.populated, populated);
	assert_true(gpm_read(&fake.vm.gpm, gpa(UNTOUCHED), &byte, 1));
	fake.vcpu.exit.rip = 0xffff0000;
	for (unsigned i = 0; i < 16; i++)
		note(1, TOUCH_KINDS, 0);
	check_where("vcpu 0 is halted: real mode, rip ffff0000, cannot be fetched; 73 exits\n");
	fake.vcpu.state = VCPU_PARKED;
	check_where("vcpu 0 waits to be started (INIT, SIPI)\n");
}

/* The last exits of a dump say what they were about. All parts together say everything once, eight lines a call. */
static void test_dump(void **state)
{
	unsigned before = 0, calls = 1;

	(void)state;
	note(1, TOUCH_KINDS, 0);
	note(7, TOUCH_IN, 0x61);
	note(7, TOUCH_WRMSR, 0xc0000080);
	while (vcpu_dump(&fake.vcpu)) {
		assert_in_range(fake_vm_log_lines() - before, 0, 8);
		before = fake_vm_log_lines();
		calls++;
	}
	/* The screen's rows are empty, and count: each has been looked at. */
	assert_int_equal(calls, (fake_vm_log_lines() + VGA_TEXT_ROWS) / 8 + 1);
	assert_non_null(strstr(fake_vm_log, "    #0 rip 0000000000007c00 HLT                      \n"));
	assert_non_null(strstr(fake_vm_log, "    #1 rip 0000000000007c00 I/O instruction          reads port 61\n"));
	assert_non_null(strstr(fake_vm_log, "    #2 rip 0000000000007c00 I/O instruction          writes MSR c0000080\n"));
	assert_ptr_equal(strstr(fake_vm_log, "vcpu 0, its VMCB:\n  the control block\n  its other half\n  exits by"), fake_vm_log);
	assert_in_range(fake_vm_log_lines() - before, 1, 8);
	assert_int_equal(fake_vm_log_lines(), 3 + 3 + 4 + 1 + 4 + (GUEST_REG_COUNT + 2) / 3 + 2 + SEG_COUNT + 2);
	assert_non_null(strstr(fake_vm_log, "  instruction: in al, dx\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_where), TEST(test_dump) };

	return cmocka_run_group_tests_name("dump", tests, NULL, NULL);
}
