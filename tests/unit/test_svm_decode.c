/* SPDX-License-Identifier: MIT */
/* svm/decode.c with literal words: EXITINFO as the manual's figures have them, instruction bytes as assembled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/emulate/insn.h"
#include "arch/x86/exit/decoded.h"
#include "arch/x86/svm/exits.h"
#include "hv/lib/util.h"

static void ioio_words(void **state)
{
	static const struct {
		uint64_t info1;
		bool assists;
		struct pio_access want;
	} rows[] = {
		/* REP INSW, 64-bit addresses, without and with decode assists */
		{ 0x01f0022d, false, { 0x1f0, 2, true, true, 8, 0xff } },
		{ 0x01f0022d, true, { 0x1f0, 2, true, true, 8, SEG_ES } },
		/* REP OUTSB with an FS override, 32-bit addresses, decode assists */
		{ 0x03f8111c, true, { 0x3f8, 1, false, true, 4, SEG_FS } },
		/* OUTSD, 16-bit addresses */
		{ 0xffff0cc4, true, { 0xffff, 4, false, false, 2, SEG_DS } },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct pio_access got;

		svm_decode_string_io(rows[i].info1, rows[i].assists, &got);
		assert_int_equal(got.port, rows[i].want.port);
		assert_int_equal(got.size, rows[i].want.size);
		assert_int_equal(got.is_in, rows[i].want.is_in);
		assert_int_equal(got.is_rep, rows[i].want.is_rep);
		assert_int_equal(got.addr_size, rows[i].want.addr_size);
		assert_int_equal(got.seg, rows[i].want.seg);
	}
}

static void npf_words(void **state)
{
	struct npt_fault fault;

	(void)state;
	svm_decode_npf(0x100000006ULL, 0xd0000050ULL, &fault);	/* user write, final address, not present */
	assert_int_equal(fault.addr.raw, 0xd0000050ULL);
	assert_true(fault.is_write && !fault.is_fetch && !fault.was_mapped && !fault.in_walk);
	svm_decode_npf(0x100000014ULL, 0xa0000ULL, &fault);	/* fetch */
	assert_true(!fault.is_write && fault.is_fetch && !fault.was_mapped && !fault.in_walk);
	svm_decode_npf(0x200000007ULL, 0x1000ULL, &fault);	/* walk of the guest's tables, present */
	assert_true(fault.is_write && fault.was_mapped && fault.in_walk);
}

static void attributes(void **state)
{
	static const struct { uint32_t rights; uint16_t attrib; } rows[] = {
		{ 0x0a09b, 0xa9b },	/* 64-bit code */
		{ 0x0c093, 0xc93 },	/* flat data */
		{ 0x00093, 0x093 },	/* real-mode data */
		{ 0x0008b, 0x08b },	/* busy TSS */
		{ 0x01093, 0x193 },	/* AVL */
		{ 0x0c0f3, 0xcf3 },	/* user data */
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_int_equal(svm_attrib_of(rows[i].rights), rows[i].attrib);
		assert_int_equal(svm_rights_of(rows[i].attrib), rows[i].rights);
	}
	assert_int_equal(svm_attrib_of(0x1c093), 0xc13);	/* unusable: not present */
	assert_int_equal(svm_rights_of(0), SEG_UNUSABLE);
}

static void cr_words(void **state)
{
	struct cr_access access;

	(void)state;
	assert_true(svm_decode_cr(SVM_EXIT_CR4_WRITE, BIT(63) | GPR_R9, &access));
	assert_true(access.op == CR_MOV_TO && access.cr == 4 && access.gpr == GPR_R9);
	assert_true(svm_decode_cr(SVM_EXIT_CR8_READ, BIT(63) | GPR_RSP, &access));
	assert_true(access.op == CR_MOV_FROM && access.cr == 8 && access.gpr == GPR_RSP);
	assert_true(svm_decode_cr(SVM_EXIT_CR0_SEL_WRITE, BIT(63), &access));
	assert_true(access.op == CR_MOV_TO && access.cr == 0 && access.gpr == GPR_RAX);
	assert_false(svm_decode_cr(SVM_EXIT_CR0_WRITE, 0, &access));	/* LMSW or CLTS: ask the bytes */
}

/* Without decode assists, and after another processor may have replaced the instruction. */
static void cr_instructions(void **state)
{
	static const struct {
		uint32_t code;
		uint8_t bytes[8];
		enum insn_mode mode;
		bool ok;
		struct cr_access want;
	} rows[] = {
		{ SVM_EXIT_CR0_SEL_WRITE, { 0x0f, 0x22, 0xc0 }, INSN_32, true, { CR_MOV_TO, 0, GPR_RAX, 0 } },
		{ SVM_EXIT_CR4_WRITE, { 0x41, 0x0f, 0x22, 0xe1 }, INSN_64, true, { CR_MOV_TO, 4, GPR_R9, 0 } },
		{ SVM_EXIT_CR8_READ, { 0x44, 0x0f, 0x20, 0xc4 }, INSN_64, true, { CR_MOV_FROM, 8, GPR_RSP, 0 } },
		{ SVM_EXIT_CR0_WRITE, { 0x0f, 0x06 }, INSN_16, true, { CR_CLTS, 0, 0, 0 } },
		{ SVM_EXIT_CR0_SEL_WRITE, { 0x0f, 0x01, 0xf3 }, INSN_16, true, { CR_LMSW, 0, GPR_RBX, 0 } },
		/* The wrong register, direction or instruction. */
		{ SVM_EXIT_CR4_WRITE, { 0x0f, 0x22, 0xd8 }, INSN_64, false, { 0 } },
		{ SVM_EXIT_CR4_WRITE, { 0x0f, 0x20, 0xe0 }, INSN_64, false, { 0 } },
		{ SVM_EXIT_CR4_WRITE, { 0x0f, 0x06 }, INSN_64, false, { 0 } },
		{ SVM_EXIT_CR0_WRITE, { 0x0f, 0xa2 }, INSN_64, false, { 0 } },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct cr_access got;
		struct insn insn;

		assert_int_equal(insn_decode(&insn, rows[i].mode, rows[i].bytes, sizeof(rows[i].bytes)), 0);
		assert_int_equal(svm_decode_cr_insn(rows[i].code, &insn, &got), rows[i].ok);
		if (!rows[i].ok)
			continue;
		assert_int_equal(got.op, rows[i].want.op);
		assert_int_equal(got.cr, rows[i].want.cr);
		if (got.op != CR_CLTS)
			assert_int_equal(got.gpr, rows[i].want.gpr);
	}
}

static void dr_instructions(void **state)
{
	static const uint8_t to_dr7[] = { 0x41, 0x0f, 0x23, 0xf9 };	/* MOV DR7, R9 */
	static const uint8_t odd_mod[] = { 0x0f, 0x21, 0x17 };		/* MOV RDI, DR2: any MOD means a register */
	static const uint8_t to_dr15[] = { 0x44, 0x0f, 0x23, 0xf8 };	/* MOV DR15, RAX: there is none */
	struct dr_access access;
	struct insn insn;

	(void)state;
	assert_int_equal(insn_decode(&insn, INSN_64, to_dr7, sizeof(to_dr7)), 0);
	assert_true(svm_decode_dr_insn(SVM_EXIT_DR7_WRITE, &insn, &access));
	assert_true(access.dr == 7 && access.gpr == GPR_R9 && !access.is_read);
	assert_false(svm_decode_dr_insn(SVM_EXIT_DR7_READ, &insn, &access));
	assert_false(svm_decode_dr_insn(SVM_EXIT_DR6_WRITE, &insn, &access));
	assert_int_equal(insn_decode(&insn, INSN_64, odd_mod, sizeof(odd_mod)), 0);
	assert_true(svm_decode_dr_insn(SVM_EXIT_DR2_READ, &insn, &access) && access.gpr == GPR_RDI);
	assert_int_equal(insn.len, sizeof(odd_mod));
	assert_true(insn_decode(&insn, INSN_64, to_dr15, sizeof(to_dr15)) ||
		    !svm_decode_dr_insn(SVM_EXIT_DR7_WRITE, &insn, &access));
	assert_true(svm_decode_dr(SVM_EXIT_DR3_READ, GPR_RDI, &access));
	assert_true(access.dr == 3 && access.gpr == GPR_RDI && access.is_read);
}

static void events(void **state)
{
	static const struct { uint64_t word; bool again; enum vevent_type type; uint8_t vector; bool has_error; } rows[] = {
		{ 0x0000000000000030ULL, false, 0, 0, false },			/* not valid */
		{ 0x0000000080000030ULL, true, VEVENT_IRQ, 0x30, false },
		{ 0x0000000080000202ULL, true, VEVENT_NMI, 2, false },
		{ 0x0000000280000b0eULL, true, VEVENT_EXCEPTION, VEC_PF, true },	/* #PF, error 2 */
		{ 0x0000000080000301ULL, true, VEVENT_EXCEPTION, VEC_DB, false },
		{ 0x0000000080000480ULL, false, 0, 0, false },			/* INT 80h: executed again */
		{ 0x0000000080000303ULL, false, 0, 0, false },			/* INT3 */
		{ 0x0000000080000304ULL, false, 0, 0, false },			/* INTO */
		{ 0x0000000080000302ULL, true, VEVENT_NMI, 2, false },		/* QEMU's own NMI */
		{ 0x00000000800003ecULL, true, VEVENT_IRQ, 0xec, false },	/* QEMU's own interrupt */
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		struct vevent event;

		assert_int_equal(svm_decode_event(rows[i].word, &event), rows[i].again);
		assert_int_equal(event.is_valid, rows[i].again);
		if (!rows[i].again)
			continue;
		assert_int_equal(event.type, rows[i].type);
		assert_int_equal(event.vector, rows[i].vector);
		assert_int_equal(event.has_error, rows[i].has_error);
	}
}

static void event_words(void **state)
{
	const struct vevent irq = { .is_valid = true, .type = VEVENT_IRQ, .vector = 0xec };
	const struct vevent nmi = { .is_valid = true, .type = VEVENT_NMI, .vector = 2 };
	const struct vevent gp = { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP, .has_error = true,
				   .error = 0x18 };
	struct vevent back;

	(void)state;
	assert_int_equal(svm_encode_event(&irq), 0x800000ecULL);
	assert_int_equal(svm_encode_event(&nmi), 0x80000202ULL);
	assert_int_equal(svm_encode_event(&gp), 0x0000001880000b0dULL);
	assert_true(svm_decode_event(svm_encode_event(&gp), &back));
	assert_int_equal(back.error, 0x18);
}

static void lengths(void **state)
{
	static const struct { uint32_t code; uint64_t info1; bool is_64; uint8_t bytes[6]; size_t avail; unsigned want; } rows[] = {
		{ SVM_EXIT_CPUID, 0, true, { 0x0f, 0xa2 }, 2, 2 },
		{ SVM_EXIT_CPUID, 0, true, { 0x48, 0x0f, 0xa2 }, 3, 3 },		/* REX */
		{ SVM_EXIT_CPUID, 0, true, { 0x66, 0xf3, 0x0f, 0xa2 }, 4, 4 },		/* useless prefixes */
		{ SVM_EXIT_CPUID, 0, false, { 0x48, 0x0f, 0xa2 }, 3, 0 },		/* DEC EAX first: not CPUID */
		{ SVM_EXIT_CPUID, 0, true, { 0x90, 0x0f, 0xa2 }, 3, 0 },
		{ SVM_EXIT_CPUID, 0, true, { 0x0f }, 1, 0 },				/* cut off */
		{ SVM_EXIT_CPUID, 0, true, { 0x66, 0x66, 0x66 }, 3, 0 },		/* prefixes only */
		{ SVM_EXIT_CPUID, 0, true, { 0x0f, 0x30 }, 2, 0 },			/* swapped for WRMSR */
		{ SVM_EXIT_HLT, 0, false, { 0xf4 }, 1, 1 },
		{ SVM_EXIT_PAUSE, 0, true, { 0xf3, 0x90 }, 2, 2 },
		{ SVM_EXIT_MSR, 0, true, { 0x0f, 0x32 }, 2, 2 },
		{ SVM_EXIT_MSR, 1, true, { 0x0f, 0x30 }, 2, 2 },
		{ SVM_EXIT_MSR, 1, true, { 0x0f, 0x32 }, 2, 0 },			/* read for write */
		{ SVM_EXIT_VMMCALL, 0, true, { 0x0f, 0x01, 0xd9 }, 3, 3 },
		{ SVM_EXIT_XSETBV, 0, true, { 0x0f, 0x01, 0xd1 }, 3, 3 },
		{ SVM_EXIT_WBINVD, 0, true, { 0x0f, 0x09 }, 2, 2 },
		{ SVM_EXIT_NPF, 0, true, { 0x0f, 0xa2 }, 2, 0 },			/* no form */
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++)
		assert_int_equal(svm_insn_length(rows[i].code, rows[i].info1, rows[i].is_64, rows[i].bytes,
						 rows[i].avail), rows[i].want);
	assert_true(svm_insn_has_form(SVM_EXIT_MSR));
	assert_false(svm_insn_has_form(SVM_EXIT_IOIO));
}

/*
 * APM vol. 2, 15.14.1 "Task Switch Intercept"; the words are those that Bochs 2.7 wrote, but for the one with
 * an error.
 */
static void test_task_switch(void **unused)
{
	static const struct { uint64_t info1, info2, event, rip, nrip; struct task_switch want; } rows[] = {
		{ 0x38, 0x4000000000, 0, 0x100276, 0x10027d, { .selector = 0x38, .source = TASK_JMP } },
		{ 0x30, 0x1000000000, 0, 0x1007c9, 0x1007ca, { .selector = 0x30, .source = TASK_IRET } },
		{ 0x38, 0, 0, 0x100598, 0x10059f, { .selector = 0x38, .source = TASK_CALL } },
		{ 0x38, 0, 0, 0x100598, 0, { .selector = 0x38, .source = TASK_CALL } },
		{ 0x38, 0x100000001234, 0x1280000b0d, 5, 5,
		  { .selector = 0x38, .source = TASK_GATE, .is_event = true, .has_error = true, .error = 0x1234 } },
		{ 0x38, 1ULL << 48, 0x80000306, 5, 0, { .selector = 0x38, .source = TASK_GATE, .is_event = true } },
		{ 0x38, 0, 0x80000020, 5, 5, { .selector = 0x38, .source = TASK_GATE, .is_event = true } },
		{ 0x38, 0, 0x80000202, 5, 5, { .selector = 0x38, .source = TASK_GATE, .is_event = true } },
		{ 0x38, 0, 0x80000450, 5, 7, { .selector = 0x38, .source = TASK_GATE } },	/* INT 50h */
		{ 0x38, 0, 0x80000000, 5, 7, { .selector = 0x38, .source = TASK_GATE } },	/* the same in Bochs */
		{ 0x38, 0, 0x80000303, 5, 6, { .selector = 0x38, .source = TASK_GATE } },	/* INT3 */
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		static struct vmcb vmcb;
		struct task_switch got;

		vmcb.control.exitinfo1 = rows[i].info1;
		vmcb.control.exitinfo2 = rows[i].info2;
		vmcb.control.exitintinfo = rows[i].event;
		vmcb.control.nrip = rows[i].nrip;
		vmcb.save.rip = rows[i].rip;
		svm_decode_task_switch(&vmcb, &got);
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
		cmocka_unit_test(ioio_words), cmocka_unit_test(npf_words), cmocka_unit_test(attributes),
		cmocka_unit_test(cr_words), cmocka_unit_test(cr_instructions), cmocka_unit_test(dr_instructions),
		cmocka_unit_test(events), cmocka_unit_test(event_words), cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests_name("svm_decode", tests, NULL, NULL);
}
