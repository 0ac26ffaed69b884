/* SPDX-License-Identifier: MIT */
/* Words of exits against literal values built from the tables of SDM vol. 3, 28.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/vmx/exits.h"
#include "arch/x86/vmx/vmx.h"
#include "hv/lib/util.h"

/* Table 28-5. Instruction information: table 28-9. */
static const struct { uint64_t qual; uint32_t info; struct pio_access want; } io_words[] = {
	{ 0x01f00039, 2 << 7, { .port = 0x1f0, .size = 2, .is_in = true, .is_rep = true,
				.addr_size = 8, .seg = SEG_ES } },
	{ 0x00e90010, 1 << 7 | 3 << 15, { .port = 0xe9, .size = 1, .addr_size = 4, .seg = SEG_DS } },
	{ 0x00e90030, 5 << 15, { .port = 0xe9, .size = 1, .is_rep = true, .addr_size = 2,
				 .seg = SEG_GS } },
	{ 0x00e90010, 1 << 15 | 2 << 7, { .port = 0xe9, .size = 1, .addr_size = 8, .seg = SEG_CS } },
};

static void test_io(void **unused)
{
	(void)unused;
	for (size_t i = 0; row_of(io_words, i); i++) {
		const struct pio_access got = vmx_decode_string_io(io_words[i].qual, io_words[i].info);
		const struct pio_access *want = &io_words[i].want;

		assert_int_equal(got.port, want->port);
		assert_int_equal(got.size, want->size);
		assert_int_equal(got.is_in, want->is_in);
		assert_int_equal(got.is_rep, want->is_rep);
		assert_int_equal(got.addr_size, want->addr_size);
		assert_int_equal(got.seg, want->seg);
	}
}

/* Table 28-3. */
static const struct { uint64_t qual; struct cr_access want; } cr_words[] = {
	{ 0x000, { .op = CR_MOV_TO, .cr = 0, .gpr = GPR_RAX } },
	{ 0x303, { .op = CR_MOV_TO, .cr = 3, .gpr = GPR_RBX } },
	{ 0x404, { .op = CR_MOV_TO, .cr = 4, .gpr = GPR_RSP } },
	{ 0xf18, { .op = CR_MOV_FROM, .cr = 8, .gpr = GPR_R15 } },
	{ 0x213, { .op = CR_MOV_FROM, .cr = 3, .gpr = GPR_RDX } },
	{ 0x020, { .op = CR_CLTS, .cr = 0 } },
	{ 0x000b0030, { .op = CR_LMSW, .cr = 0, .lmsw = 0x000b } },
	{ 0xffff0070, { .op = CR_LMSW, .cr = 0, .lmsw = 0xffff } },		/* from memory */
};

static void test_cr(void **unused)
{
	(void)unused;
	for (size_t i = 0; row_of(cr_words, i); i++) {
		const struct cr_access got = vmx_decode_cr(cr_words[i].qual), *want = &cr_words[i].want;

		assert_int_equal(got.op, want->op);
		assert_int_equal(got.cr, want->cr);
		assert_int_equal(got.gpr, want->gpr);
		assert_int_equal(got.lmsw, want->lmsw);
	}
}

/* Table 28-4; the number has bit 3 in Bochs only. */
static const struct { uint64_t qual; struct dr_access want; } dr_words[] = {
	{ 0x000, { .dr = 0, .gpr = GPR_RAX } },
	{ 0x417, { .dr = 7, .gpr = GPR_RSP, .is_read = true } },
	{ 0xf06, { .dr = 6, .gpr = GPR_R15 } },
	{ 0x114, { .dr = 4, .gpr = GPR_RCX, .is_read = true } },
	{ 0x018, { .dr = 8, .gpr = GPR_RAX, .is_read = true } },
};

static void test_dr(void **unused)
{
	(void)unused;
	for (size_t i = 0; row_of(dr_words, i); i++) {
		const struct dr_access got = vmx_decode_dr(dr_words[i].qual), *want = &dr_words[i].want;

		assert_int_equal(got.dr, want->dr);
		assert_int_equal(got.gpr, want->gpr);
		assert_int_equal(got.is_read, want->is_read);
	}
}

/* Table 28-7: bits 0-2 the access, 3-5 what the entry allowed, 7 linear address valid, 8 the final access. */
static const struct { uint64_t qual; bool is_write, is_fetch, was_mapped, in_walk; } ept_words[] = {
	{ 0x181, false, false, false, false },
	{ 0x182, true, false, false, false },
	{ 0x183, true, false, false, false },		/* read-modify-write */
	{ 0x184, false, true, false, false },
	{ 0x18a, true, false, true, false },		/* write to a read-only page */
	{ 0x081, false, false, false, true },		/* the guest's own page walk */
	{ 0x083, true, false, false, true },		/* the walk sets an accessed bit */
	{ 0x001, false, false, false, false },		/* no linear address: PDPTE load */
};

static void test_ept(void **unused)
{
	const uint64_t addr = 0xd0000050;

	(void)unused;
	for (size_t i = 0; row_of(ept_words, i); i++) {
		const struct npt_fault got = vmx_decode_ept(ept_words[i].qual, addr);

		assert_int_equal(got.addr.raw, addr);
		assert_int_equal(got.is_write, ept_words[i].is_write);
		assert_int_equal(got.is_fetch, ept_words[i].is_fetch);
		assert_int_equal(got.was_mapped, ept_words[i].was_mapped);
		assert_int_equal(got.in_walk, ept_words[i].in_walk);
	}
}

/* 25.9.2 and 25.8.3: the same layout both ways. */
static const struct { uint32_t info, error, len; struct vevent want; } event_words[] = {
	{ 0x80000030, 0, 0, { true, VEVENT_IRQ, 0x30, false, 0, 0 } },
	{ 0x80000202, 0, 0, { true, VEVENT_NMI, 2, false, 0, 0 } },
	{ 0x80000b0e, 6, 3, { true, VEVENT_EXCEPTION, 14, true, 6, 0 } },
	{ 0x80000306, 9, 2, { true, VEVENT_EXCEPTION, 6, false, 0, 0 } },
	{ 0x80000480, 0, 2, { true, VEVENT_SOFT_INT, 0x80, false, 0, 2 } },
	{ 0x80000501, 0, 1, { true, VEVENT_PRIV_SOFT, 1, false, 0, 1 } },
	{ 0x80000603, 0, 1, { true, VEVENT_SOFT_EXC, 3, false, 0, 1 } },
};

static void test_events(void **unused)
{
	(void)unused;
	assert_false(vmx_decode_event(0x00000b0e, 0, 0).is_valid);
	for (size_t i = 0; row_of(event_words, i); i++) {
		const struct vevent *want = &event_words[i].want;
		const struct vevent got = vmx_decode_event(event_words[i].info, event_words[i].error, event_words[i].len);

		assert_true(got.is_valid);
		assert_int_equal(got.type, want->type);
		assert_int_equal(got.vector, want->vector);
		assert_int_equal(got.has_error, want->has_error);
		assert_int_equal(got.error, want->error);
		assert_int_equal(got.insn_len, want->insn_len);
		assert_int_equal(vmx_encode_event(&got), event_words[i].info);
	}
}

/* Table 28-2 "Exit Qualification for Task Switches". */
static void test_task_switch(void **unused)
{
	const struct vevent gp = { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP, .has_error = true, .error = 5 };
	const struct vevent irq = { .is_valid = true, .type = VEVENT_IRQ, .vector = 0x20 };
	const struct vevent int_n = { .is_valid = true, .type = VEVENT_SOFT_INT, .vector = 0x50, .insn_len = 2 };
	const struct vevent none = { .is_valid = false };
	const struct { uint64_t qual; const struct vevent *event; struct task_switch want; } rows[] = {
		{ 0x00000038, &none, { .selector = 0x38, .source = TASK_CALL } },
		{ 0x40000030, &none, { .selector = 0x30, .source = TASK_IRET } },
		{ 0x8000ffff, &none, { .selector = 0xffff, .source = TASK_JMP } },
		{ 0xc0000040, &gp, { .selector = 0x40, .source = TASK_GATE, .is_event = true, .has_error = true, .error = 5 } },
		{ 0xc0000040, &irq, { .selector = 0x40, .source = TASK_GATE, .is_event = true } },
		{ 0xc0000040, &int_n, { .selector = 0x40, .source = TASK_GATE } },
		{ 0x80000040, &gp, { .selector = 0x40, .source = TASK_JMP } },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		const struct task_switch got = vmx_decode_task_switch(rows[i].qual, rows[i].event);

		assert_int_equal(got.selector, rows[i].want.selector);
		assert_int_equal(got.source, rows[i].want.source);
		assert_int_equal(got.is_event, rows[i].want.is_event);
		assert_int_equal(got.has_error, rows[i].want.has_error);
		assert_int_equal(got.error, rows[i].want.error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task_switch),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_cr),
		cmocka_unit_test(test_dr),
		cmocka_unit_test(test_ept),
		cmocka_unit_test(test_events),
	};

	return cmocka_run_group_tests_name("vmx_decode", tests, NULL, NULL);
}
