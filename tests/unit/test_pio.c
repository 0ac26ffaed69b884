/* SPDX-License-Identifier: MIT */
/*
 * Port I/O: every size and direction with the register bits that must not change, string forms with and
 * without REP, their faults, and what the decoder supplies when hardware does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/string.h"
#include "arch/x86/hw/cr.h"
#include "hv/lib/util.h"
#include "vcpu_fake.h"

#define PORT		0x3f8U
#define RAM_PAGE	0x9000ULL
#define PAGE_LINEAR	0xffffc90000000000ULL
#define CODE		0xffffffff81000000ULL
#define CODE_AT		0x8000ULL
#define ALL_ONES	0xffffffffffffffffULL
#define WRITE		2ULL
#define LOG_MAX		256U

static struct vcpu_fake fake;
static uint64_t written[LOG_MAX], next_input;
static unsigned writes, reads, last_size;

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	reads++;
	last_size = size;
	return next_input++;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)dev;
	(void)offset;
	last_size = size;
	written[writes++ % LOG_MAX] = value;
}

static int set_up(void **state)
{
	const struct bus_range range = { .name = "test", .start = PORT, .length = 4, .sizes = 7,
					 .read = port_read, .write = port_write };

	(void)state;
	vcpu_fake_long(&fake);
	assert_int_equal(bus_add(&fake.vm.pio, &range), 0);
	vcpu_fake_map(&fake, PAGE_LINEAR, RAM_PAGE, WRITE);
	vcpu_fake_map(&fake, CODE, CODE_AT, 0);
	fake.vcpu.exit.rip = CODE;
	fake.vcpu.gpr[GPR_RDX] = PORT;
	writes = reads = last_size = 0;
	next_input = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	vcpu_fake_free(&fake);
	return 0;
}

static enum exit_result run(struct pio_access access)
{
	access.port = PORT;
	return exit_pio_string(&fake.vcpu, &access);
}

static void plain_forms(void **state)
{
	static const struct { uint8_t size; uint64_t input, rax; } in[] = {
		{ 1, 0x1234567890abcdefULL, 0xffffffffffffffefULL },
		{ 2, 0x1234567890abcdefULL, 0xffffffffffffcdefULL },
		{ 4, 0x1234567890abcdefULL, 0x0000000090abcdefULL },
	};
	static const uint64_t out[] = { 0x88, 0x7788, 0x55667788 };

	(void)state;
	for (size_t i = 0; row_of(in, i); i++) {
		fake.vcpu.gpr[GPR_RAX] = ALL_ONES;
		next_input = in[i].input;
		assert_int_equal(exit_in(&fake.vcpu, PORT, in[i].size), EXIT_SKIP);
		assert_int_equal(fake.vcpu.gpr[GPR_RAX], in[i].rax);
		assert_int_equal(last_size, in[i].size);

		fake.vcpu.gpr[GPR_RAX] = 0x1122334455667788ULL;
		assert_int_equal(exit_out(&fake.vcpu, PORT, in[i].size), EXIT_SKIP);
		assert_int_equal(fake.vcpu.gpr[GPR_RAX], 0x1122334455667788ULL);
		assert_int_equal(written[i], out[i]);
	}
	assert_int_equal(fake.injected, 0);
}

static void nobody_answers(void **state)
{
	(void)state;
	fake.vcpu.gpr[GPR_RAX] = 0;
	assert_int_equal(exit_in(&fake.vcpu, 0x80, 2), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RAX], 0xffff);
}

static void string_forms(void **state)
{
	(void)state;
	/* outsb, DS:RSI, hardware says all */
	vcpu_fake_set_word(&fake, RAM_PAGE, 0x8877665544332211ULL);
	fake.vcpu.gpr[GPR_RSI] = PAGE_LINEAR + 1;
	assert_int_equal(run((struct pio_access){ .size = 1, .addr_size = 8, .seg = SEG_DS }),
			 EXIT_SKIP);
	assert_int_equal(written[0], 0x22);
	assert_int_equal(fake.vcpu.gpr[GPR_RSI], PAGE_LINEAR + 2);
	/* rep insw backwards */
	fake.regs[REG_RFLAGS] |= RFLAGS_DF;
	fake.vcpu.gpr[GPR_RDI] = PAGE_LINEAR + 4;
	fake.vcpu.gpr[GPR_RCX] = 3;
	next_input = 0xa0;
	assert_int_equal(run((struct pio_access){ .size = 2, .is_in = true, .is_rep = true,
						  .addr_size = 8 }), EXIT_SKIP);
	assert_int_equal(vcpu_fake_word(&fake, RAM_PAGE), 0x887700a000a100a2ULL);
	assert_int_equal(fake.vcpu.gpr[GPR_RDI], PAGE_LINEAR - 2);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 0);
	/* REP with nothing to do touches nothing, not even a bad address. */
	assert_int_equal(run((struct pio_access){ .size = 2, .is_in = true, .is_rep = true,
						  .addr_size = 8 }), EXIT_SKIP);
	assert_int_equal(reads, 3);
}

static void batches(void **state)
{
	struct pio_access outs = { .size = 1, .is_rep = true, .addr_size = 8, .seg = SEG_DS };

	(void)state;
	fake.vcpu.gpr[GPR_RSI] = PAGE_LINEAR;
	fake.vcpu.gpr[GPR_RCX] = STRING_STEPS_MAX + 1;
	assert_int_equal(run(outs), EXIT_RESUME);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 1);
	assert_int_equal(writes, STRING_STEPS_MAX);
	assert_true(fake.progress);
	assert_int_equal(run(outs), EXIT_SKIP);
	assert_int_equal(writes, STRING_STEPS_MAX + 1);
	/* A count of all ones is no reason to stay: the page ends, the processor meets the fault. */
	fake.vcpu.gpr[GPR_RSI] = PAGE_LINEAR + PAGE_SIZE - 3;
	fake.vcpu.gpr[GPR_RCX] = ALL_ONES;
	assert_int_equal(run(outs), EXIT_RESUME);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], ALL_ONES - 3);
	assert_int_equal(fake.injected, 0);
}

/* RAM that nobody has touched is populated by an exit's first step only. */
static void later_steps_populate_nothing(void **state)
{
	struct pio_access outs = { .size = 1, .is_rep = true, .addr_size = 8, .seg = SEG_DS };
	const uint64_t far = 0x40000000;
	uint64_t before;

	(void)state;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), LARGE_SIZE), 0);
	vcpu_fake_map(&fake, PAGE_LINEAR + PAGE_SIZE, far, WRITE);
	before = fake.vm.gpm.populated;
	fake.vcpu.gpr[GPR_RSI] = PAGE_LINEAR + PAGE_SIZE - 3;
	fake.vcpu.gpr[GPR_RCX] = 6;
	assert_int_equal(run(outs), EXIT_RESUME);
	assert_int_equal(writes, 3);
	assert_int_equal(fake.vm.gpm.populated, before);
	assert_int_equal(run(outs), EXIT_RESUME);
	assert_int_equal(writes, 3);
	assert_int_equal(fake.vm.gpm.populated, before + LARGE_SIZE);
	assert_int_equal(run(outs), EXIT_SKIP);
	assert_int_equal(writes, 6);
	assert_int_equal(fake.injected, 0);
}

static void faults_come_before_the_port(void **state)
{
	struct pio_access ins = { .size = 4, .is_in = true, .addr_size = 8 };

	(void)state;
	fake.vcpu.gpr[GPR_RDI] = PAGE_LINEAR + PAGE_SIZE - 2;
	assert_int_equal(run(ins), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_PF);
	assert_int_equal(fake.error, PF_WRITE);
	assert_int_equal(fake.vcpu.cr2, PAGE_LINEAR + PAGE_SIZE);
	fake.vcpu.gpr[GPR_RDI] = 0x8000000000000000ULL;
	assert_int_equal(run(ins), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_GP);
	fake.segs[SEG_SS].rights |= SEG_DPL_MASK;	/* user mode: the page is the kernel's */
	fake.vcpu.gpr[GPR_RDI] = PAGE_LINEAR;
	assert_int_equal(run(ins), EXIT_RESUME);
	assert_int_equal(fake.error, PF_PRESENT | PF_WRITE | PF_USER);
	assert_int_equal(reads, 0);
	assert_int_equal(fake.injected, 3);
}

static void segments_and_sizes(void **state)
{
	struct pio_access outs = { .size = 1, .addr_size = 4, .seg = SEG_DS };

	(void)state;
	vcpu_fake_free(&fake);
	vcpu_fake_protected(&fake);
	vcpu_fake_set_word(&fake, RAM_PAGE, 0);
	fake.segs[SEG_DS].base = RAM_PAGE;
	fake.vcpu.gpr[GPR_RSI] = 0x100000004ULL;	/* ESI only; the write clears the upper half */
	assert_int_equal(exit_pio_string(&fake.vcpu, &outs), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RSI], 5);
	outs.addr_size = 2;
	fake.vcpu.gpr[GPR_RSI] = 0x7777ffff;
	assert_int_equal(exit_pio_string(&fake.vcpu, &outs), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RSI], 0x77770000);
	fake.segs[SEG_DS].rights |= SEG_UNUSABLE;	/* a null selector */
	assert_int_equal(exit_pio_string(&fake.vcpu, &outs), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_GP);
	outs.seg = SEG_SS;
	fake.segs[SEG_SS].limit = 0xf;
	fake.vcpu.gpr[GPR_RSI] = 0x10;
	assert_int_equal(exit_pio_string(&fake.vcpu, &outs), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_SS);
	/* Expand-down: what lies above the limit. */
	fake.segs[SEG_SS].rights |= 4;
	assert_int_equal(exit_pio_string(&fake.vcpu, &outs), EXIT_SKIP);
	fake.vcpu.gpr[GPR_RSI] = 0xf;
	assert_int_equal(exit_pio_string(&fake.vcpu, &outs), EXIT_RESUME);
	assert_int_equal(fake.injected, 3);
}

static void asks_the_decoder(void **state)
{
	static const uint8_t rep_outsb_fs_addr32[] = { 0x64, 0x67, 0xf3, 0x6e };
	struct pio_access outs = { .size = 1, .is_rep = true, .seg = 0xff };

	(void)state;
	vcpu_fake_put(&fake, CODE_AT, rep_outsb_fs_addr32, sizeof(rep_outsb_fs_addr32));
	vcpu_fake_set_word(&fake, RAM_PAGE, 0x41);
	fake.regs[REG_FS_BASE] = PAGE_LINEAR - 0x1000;
	fake.vcpu.gpr[GPR_RSI] = 0xffffffff00001000ULL;
	fake.vcpu.gpr[GPR_RCX] = 0xffffffff00000001ULL;
	assert_int_equal(run(outs), EXIT_SKIP);
	assert_int_equal(fake.vcpu.exit.insn_len, sizeof(rep_outsb_fs_addr32));
	assert_int_equal(written[0], 0x41);
	assert_int_equal(fake.vcpu.gpr[GPR_RSI], 0x1001);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 0);
	/* Replaced by another instruction meanwhile: nothing happens, the guest tries again. */
	outs.size = 2;
	assert_int_equal(run(outs), EXIT_RESUME);
	outs.size = 1;
	outs.is_in = true;
	assert_int_equal(run(outs), EXIT_RESUME);
	assert_int_equal(reads + writes, 1);
	vcpu_fake_map(&fake, CODE, 0xd0000000, 0);	/* no RAM: no bytes to look at */
	assert_int_equal(run(outs), EXIT_STOP);
}

/* QEMU's processor lets LOCK pass in front of INS and OUTS. */
static void raises_undefined(void **state)
{
	static const char *const undefined[] = { "\xf0\x6c", "\xf0\xf3\x6e", "\x06" };
	struct pio_access ins = { .size = 1, .is_in = true, .seg = 0xff };

	(void)state;
	for (size_t i = 0; row_of(undefined, i); i++) {
		vcpu_fake_put(&fake, CODE_AT, undefined[i], strlen(undefined[i]));
		fake.injected = 0;
		assert_int_equal(run(ins), EXIT_RESUME);
		assert_int_equal(fake.injected, 1);
		assert_int_equal(fake.vector, VEC_UD);
		assert_false(fake.is_killed);
	}
	assert_int_equal(reads + writes, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(plain_forms), CASE(nobody_answers), CASE(string_forms), CASE(batches),
		CASE(later_steps_populate_nothing), CASE(faults_come_before_the_port), CASE(segments_and_sizes), CASE(asks_the_decoder),
		CASE(raises_undefined),
	};

	return cmocka_run_group_tests_name("pio_string", tests, NULL, NULL);
}
