/* SPDX-License-Identifier: MIT */
/*
 * AMD-V's words about an exit become the neutral handlers' facts, on processors that say much and on those that say
 * nothing; and what an emulated instruction leaves behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "arch/x86/svm/exits.h"
#include "arch/x86/svm/state.h"
#include "arch/x86/svm/svm_cpu.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/quirks.h"
#include "exits_fake.h"
#include "cpu_fake.h"
#include "hv/lib/util.h"
#include "insn_fake.h"
#include "vcpu_fake.h"

#define CODE	0x1000U
#define DATA	0x2000U

static struct vcpu_fake fake;
static struct vmcb vmcb;
static struct svm_vcpu svm;
static const struct virt_backend *fake_backend;
static unsigned interrupted;
static bool is_own_step;
struct svm_features svm_features;

/* ---- What stands around exits.c: state.c and inject.c ---- */

uint64_t svm_get(struct vcpu *vcpu, enum guest_reg reg)
{
	(void)vcpu;
	return reg == REG_CR0 ? 0x60000033 : 0;		/* the guest has CD and NW set */
}

void svm_end_shadow(struct vcpu *vcpu) { (void)vcpu; vmcb.control.interrupt_shadow = 0; }
void svm_take_interrupted(struct vcpu *vcpu) { (void)vcpu; interrupted++; }
void svm_block_nmi(struct vcpu *vcpu) { vcpu->nmi_blocked = true; }
bool svm_is_own_step(struct vcpu *vcpu, uint64_t *bits) { (void)vcpu; (void)bits; return is_own_step; }

#define OUR_IDT	0xffffffff80100000ULL

static int set_up(void **unused)
{
	(void)unused;
	if (!fake_backend)
		fake_backend = virt;
	vcpu_fake_protected(&fake);
	virt = fake_backend;
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	insn_fake_init();
	exits_fake_init();
	cpu_fake_install();
	cpu_fake.idt_base = OUR_IDT;
	svm.vmcb = &vmcb;
	fake.vcpu.arch = &svm;
	svm_features = (struct svm_features){ .has_nrips = true, .has_decode_assists = true };
	interrupted = 0;
	is_own_step = false;
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

/* The processor leaves the guest; next is nRIP, 0 where no instruction did it. */
static void leave(uint64_t code, uint64_t next, uint64_t info1, uint64_t info2)
{
	exits_fake_init();
	fake.progress = fake.injected = 0;
	fake.regs[REG_RIP] = vmcb.save.rip = CODE;
	vmcb.control.exitcode = code;
	vmcb.control.nrip = next;
	vmcb.control.exitinfo1 = info1;
	vmcb.control.exitinfo2 = info2;
	svm_read_exit(&fake.vcpu);
}

static enum exit_result handle(void) { return svm_rows[fake.vcpu.exit.reason].handle(&fake.vcpu); }

static enum exit_result leave_and_handle(uint64_t code, uint64_t next, uint64_t info1, uint64_t info2)
{
	leave(code, next, info1, info2);
	return handle();
}

static void put_code(const void *bytes, size_t len)
{
	static const uint8_t nops[16] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
					  0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90 };

	vcpu_fake_put(&fake, CODE, nops, sizeof(nops));
	vcpu_fake_put(&fake, CODE, bytes, len);
}

/* ---- Rows ---- */

/* APM vol. 2, appendix C. */
static void test_rows(void **unused)
{
	static const struct { uint64_t code; const char *handler; } rows[] = {
		{ 0x61, "host_nmi" }, { 0x64, "irq_window" }, { 0x6f, "rdpmc" }, { 0x72, "cpuid" }, { 0x76, "invd" },
		{ 0x77, "pause" }, { 0x78, "hlt" }, { 0x7f, "triple_fault" }, { 0x81, "hypercall" }, { 0x89, "wbinvd" },
		{ 0x8a, "monitor" }, { 0x8b, "mwait" }, { 0x8c, "mwait" }, { 0x8d, "xsetbv" },
		/* the instructions of SVM, and others that CPUID hides: #UD */
		{ 0x73, "undefined" }, { 0x7a, "undefined" }, { 0x80, "undefined" }, { 0x82, "undefined" }, { 0x83, "undefined" },
		{ 0x84, "undefined" }, { 0x85, "undefined" }, { 0x86, "undefined" }, { 0x8e, "undefined" }, { 0xa0, "undefined" },
		{ 0xa1, "undefined" }, { 0xa3, "undefined" }, { 0xa4, "undefined" },
		{ 0x3, NULL }, { 0x66, NULL }, { 0x6e, NULL }, { 0x75, NULL }, { 0xa2, NULL }, { 0x401, NULL }, { 0x403, NULL },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		leave(rows[i].code, CODE + 2, 0, 0);
		assert_non_null(svm_rows[fake.vcpu.exit.reason].name);
		if (rows[i].handler) {
			handle();
			assert_string_equal(exits_fake.name, rows[i].handler);
		} else {
			assert_null(svm_rows[fake.vcpu.exit.reason].handle);
		}
	}
}

/* Codes that are in no list, whatever their upper half: QEMU stores 32 bits of VMEXIT_INVALID, hardware 64. */
static void test_codes(void **unused)
{
	static const struct { uint64_t code; uint32_t row; } rows[] = {
		{ 0xa4, 0xa4 }, { 0xa5, SVM_ROW_UNKNOWN }, { 0x3ff, SVM_ROW_UNKNOWN }, { 0x400, SVM_ROW_HIGH },
		{ 0x403, SVM_ROW_HIGH + 3 }, { 0x404, SVM_ROW_UNKNOWN }, { 0x405, SVM_ROW_UNKNOWN },
		{ 0x4a5, SVM_ROW_UNKNOWN }, { 0xfffffffe, SVM_ROW_UNKNOWN },
		{ 0xffffffff, SVM_ROW_REFUSED }, { ~0ULL, SVM_ROW_REFUSED },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		leave(rows[i].code, 0, 0, 0);
		assert_int_equal(fake.vcpu.exit.reason, rows[i].row);
	}
	leave(0x404, 0, 0, 0);
	assert_int_equal(handle(), EXIT_STOP);
	assert_true(fake.is_killed);
}

/* 15.5.1: a VMCB that VMRUN refuses is explained, rule by rule, and ends this VM alone. */
static void test_refused(void **unused)
{
	(void)unused;
	*fake_vm_log = '\0';
	vmcb.save.efer = EFER_SVME | EFER_LME;
	vmcb.control.intercept_vector4 = INTERCEPT_VMRUN;
	vmcb.control.guest_asid = 1;
	vmcb.save.cr0 = CR0_NW;		/* NW without CD: the one thing that is wrong */
	leave(~0ULL, 0, 0, 0);
	assert_int_equal(handle(), EXIT_STOP);
	assert_true(fake.is_killed);
	assert_non_null(strstr(fake_vm_log, "cr0 = 0x20000000"));
	assert_non_null(strstr(fake_vm_log, ": 1 rule broken (APM"));
	memset(&vmcb, 0xff, sizeof(vmcb));	/* more than are told one by one */
	leave(~0ULL, 0, 0, 0);
	assert_int_equal(handle(), EXIT_STOP);
	assert_non_null(strstr(fake_vm_log, "rules broken (APM"));
}

/* MOV to CR3 with reserved bits, of which QEMU makes VMEXIT_INVALID. All others are what they say. */
static void test_refused_cr3(void **unused)
{
	static const struct { const char *what; uint8_t bytes[3]; uint64_t rbx; bool is_long, is_gp; } rows[] = {
		{ "mov cr3, rbx", { 0x0f, 0x22, 0xdb }, BIT(FAKE_PHYS_BITS), true, true },
		{ "the highest bit", { 0x0f, 0x22, 0xdb }, BIT(63), true, true },
		{ "a good value", { 0x0f, 0x22, 0xdb }, BIT(FAKE_PHYS_BITS) - 1, true, false },
		{ "another register", { 0x0f, 0x22, 0xe3 }, BIT(63), true, false },
		{ "mov rbx, cr3", { 0x0f, 0x20, 0xdb }, BIT(63), true, false },
		{ "not in 64-bit mode", { 0x0f, 0x22, 0xdb }, BIT(63), false, false },
		{ "cpuid", { 0x0f, 0xa2 }, BIT(63), true, false },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		tear_down(unused);
		set_up(unused);
		vmcb.save.efer = EFER_SVME;
		vmcb.control.intercept_vector4 = INTERCEPT_VMRUN;
		vmcb.control.guest_asid = 1;
		fake.regs[REG_EFER] = rows[i].is_long ? EFER_LMA | EFER_LME : 0;
		fake.segs[SEG_CS].rights |= rows[i].is_long ? SEG_L : 0;
		fake.vcpu.gpr[GPR_RBX] = rows[i].rbx;
		put_code(rows[i].bytes, sizeof(rows[i].bytes));
		leave(SVM_EXIT_INVALID, 0, 0, 0);
		assert_int_equal(handle(), rows[i].is_gp ? EXIT_RESUME : EXIT_STOP);
		assert_int_equal(fake.injected, rows[i].is_gp);
		assert_true(!rows[i].is_gp || fake.vector == VEC_GP);
		assert_int_equal(fake.is_killed, !rows[i].is_gp);
	}
}

/*
 * A VMCB that breaks a rule, or that Bochs has filled with our own state: whatever stands at RIP, it goes no
 * further.
 */
static void test_real_refusal(void **unused)
{
	static const struct { const char *what; uint64_t efer, idtr; } rows[] = {
		{ "no SVME", 0, 0 }, { "our state", EFER_SVME, OUR_IDT },
	};
	const uint8_t to_cr3[] = { 0x0f, 0x22, 0xdb };

	for (size_t i = 0; row_of(rows, i); i++) {
		tear_down(unused);
		set_up(unused);
		vmcb.save.efer = rows[i].efer;
		vmcb.save.idtr.base = rows[i].idtr;
		vmcb.control.intercept_vector4 = INTERCEPT_VMRUN;
		vmcb.control.guest_asid = 1;
		fake.regs[REG_EFER] = EFER_LMA | EFER_LME;
		fake.segs[SEG_CS].rights |= SEG_L;
		fake.vcpu.gpr[GPR_RBX] = BIT(63);
		put_code(to_cr3, sizeof(to_cr3));
		leave(SVM_EXIT_INVALID, 0, 0, 0);
		assert_int_equal(handle(), EXIT_STOP);
		assert_int_equal(fake.injected, 0);
		assert_true(fake.is_killed);
	}
}

/* ---- Length ---- */

static void test_length_by_next_rip(void **unused)
{
	static const struct { uint64_t next; uint32_t len; } rows[] = {
		{ CODE + 2, 2 }, { CODE + 15, 15 }, { CODE + 16, 0 }, { 0, 0 }, { CODE, 0 }, { CODE - 1, 0 },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		leave(0x72, rows[i].next, 0, 0);
		assert_int_equal(fake.vcpu.exit.rip, CODE);
		assert_int_equal(fake.vcpu.exit.insn_len, rows[i].len);
	}
}

/* Without next-RIP save the bytes say it, and they must still be the instruction (CVE-2016-9377). */
static void test_length_by_bytes(void **unused)
{
	static const struct { uint64_t code; uint8_t bytes[4]; size_t size; uint32_t len; } rows[] = {
		{ 0x72, { 0x0f, 0xa2 }, 2, 2 },			/* CPUID */
		{ 0x72, { 0x66, 0x0f, 0xa2 }, 3, 3 },		/* with a prefix that means nothing */
		{ 0x78, { 0xf4 }, 1, 1 },			/* HLT */
		{ 0x81, { 0x0f, 0x01, 0xd9 }, 3, 3 },		/* VMMCALL */
		{ 0x72, { 0xf4 }, 1, 0 },			/* HLT stands there by now */
		{ 0x72, { 0x0f, 0x0b }, 2, 0 },			/* UD2 */
	};

	(void)unused;
	svm_features = (struct svm_features){ 0 };
	for (size_t i = 0; row_of(rows, i); i++) {
		put_code(rows[i].bytes, rows[i].size);
		leave(rows[i].code, 0, 0, 0);
		assert_int_equal(fake.vcpu.exit.insn_len, rows[i].len);
		if (rows[i].len) {
			assert_int_equal(fake.vcpu.exit.reason, rows[i].code);
			continue;
		}
		assert_int_equal(fake.vcpu.exit.reason, SVM_ROW_CHANGED);
		assert_int_equal(handle(), EXIT_RESUME);	/* the guest executes what is there now */
		assert_int_equal(fake.injected, 0);
	}
}

/* REX is a prefix in 64-bit mode, and INC or DEC elsewhere. */
static void test_length_in_64_bit_mode(void **unused)
{
	static const uint8_t rex_cpuid[] = { 0x48, 0x0f, 0xa2 };

	(void)unused;
	svm_features = (struct svm_features){ 0 };
	put_code(rex_cpuid, sizeof(rex_cpuid));
	leave(0x72, 0, 0, 0);
	assert_int_equal(fake.vcpu.exit.reason, SVM_ROW_CHANGED);
	fake.regs[REG_EFER] = EFER_LMA | EFER_LME;
	fake.segs[SEG_CS].rights |= SEG_L;
	leave(0x72, 0, 0, 0);
	assert_int_equal(fake.vcpu.exit.insn_len, 3);
}

/* Bytes that are no instruction, or that are not there: what the processor would do when it fetches them. */
static void test_no_bytes(void **unused)
{
	static const uint8_t lock_cpuid[] = { 0xf0, 0x0f, 0xa2 };

	(void)unused;
	svm_features = (struct svm_features){ 0 };
	put_code(lock_cpuid, sizeof(lock_cpuid));
	assert_int_equal(leave_and_handle(0x72, 0, 0, 0), EXIT_RESUME);
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.vector, VEC_UD);
	assert_false(fake.is_killed);
	/* Above all RAM: nobody knows what the processor fetched there. */
	fake.segs[SEG_CS].base = FAKE_RAM;
	assert_int_equal(leave_and_handle(0x72, 0, 0, 0), EXIT_STOP);
	assert_true(fake.is_killed);
}

/* 15.7.2: an event that the exit cut short is taken before anything else. */
static void test_interrupted(void **unused)
{
	(void)unused;
	leave(0x72, CODE + 2, 0, 0);
	assert_int_equal(interrupted, 0);
	vmcb.control.exitintinfo = BIT(31) | 0x30;
	leave(0x72, CODE + 2, 0, 0);
	assert_int_equal(interrupted, 1);
	vmcb.control.exitintinfo = 0x30;	/* not valid */
	leave(0x72, CODE + 2, 0, 0);
	assert_int_equal(interrupted, 1);
	svm.iret_seen = true;			/* an NMI's IRET is on its way */
	leave(0x72, CODE + 2, 0, 0);
	assert_int_equal(interrupted, 2);
}

/* ---- Facts ---- */

/*
 * 15.10.2: IN in bit 0, string 2, REP 3, size 6:4, address size 9:7, segment 12:10, port 31:16; the next RIP
 * in EXITINFO2.
 */
static void test_ports(void **unused)
{
	static const struct { uint64_t info1; const char *handler; struct pio_access want; } rows[] = {
		{ 0x03f80010, "out", { .port = 0x3f8, .size = 1 } },
		{ 0x0cf80041, "in", { .port = 0xcf8, .size = 4, .is_in = true } },
		{ 0xffff0020, "out", { .port = 0xffff, .size = 2 } },
		{ 0x00e9109c, "pio_string", { .port = 0xe9, .size = 1, .is_rep = true, .addr_size = 2, .seg = SEG_FS } },
		{ 0x00e90225, "pio_string", { .port = 0xe9, .size = 2, .is_in = true, .addr_size = 8, .seg = SEG_ES } },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_int_equal(leave_and_handle(0x7b, 0, rows[i].info1, CODE + 3), EXIT_SKIP);
		assert_string_equal(exits_fake.name, rows[i].handler);
		assert_int_equal(fake.vcpu.exit.insn_len, 3);
		assert_int_equal(exits_fake.pio.port, rows[i].want.port);
		assert_int_equal(exits_fake.pio.size, rows[i].want.size);
		assert_int_equal(exits_fake.pio.is_in, rows[i].want.is_in);
		assert_int_equal(exits_fake.pio.is_rep, rows[i].want.is_rep);
		assert_int_equal(exits_fake.pio.addr_size, rows[i].want.addr_size);
		assert_int_equal(exits_fake.pio.seg, rows[i].want.seg);
	}
	svm_features.has_decode_assists = false;	/* then the segment is unknown */
	leave_and_handle(0x7b, 0, 0x00e9109c, CODE + 3);
	assert_int_equal(exits_fake.pio.seg, 0xff);
}

static void test_msr_direction(void **unused)
{
	(void)unused;
	leave_and_handle(0x7c, CODE + 2, 0, 0);
	assert_string_equal(exits_fake.name, "rdmsr");
	leave_and_handle(0x7c, CODE + 2, 1, 0);
	assert_string_equal(exits_fake.name, "wrmsr");
}

/* 15.25.6: the error code of a page fault, and bits 32 and 33: at the final address, or in the guest's own walk. */
static void test_npf(void **unused)
{
	static const struct { uint64_t info1; struct npt_fault want; } rows[] = {
		{ 0x100000004, { .addr = { 0 } } },
		{ 0x100000006, { .is_write = true } },
		{ 0x100000007, { .is_write = true, .was_mapped = true } },
		{ 0x100000014, { .is_fetch = true } },
		{ 0x200000006, { .is_write = true, .in_walk = true } },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		leave_and_handle(0x400, CODE + 4, rows[i].info1, 0xfee00020);
		assert_string_equal(exits_fake.name, "npt");
		assert_int_equal(exits_fake.npt.addr.raw, 0xfee00020);
		assert_int_equal(exits_fake.npt.is_write, rows[i].want.is_write);
		assert_int_equal(exits_fake.npt.is_fetch, rows[i].want.is_fetch);
		assert_int_equal(exits_fake.npt.was_mapped, rows[i].want.was_mapped);
		assert_int_equal(exits_fake.npt.in_walk, rows[i].want.in_walk);
		assert_int_equal(fake.vcpu.exit.insn_len, 0);
	}
}

/* ---- Control and debug registers: from the word, or from the bytes ---- */

static void test_cr(void **unused)
{
	static const struct {
		uint64_t code, info1; uint8_t bytes[4]; size_t size; struct cr_access want; uint32_t len;
	} rows[] = {
		{ 0x14, BIT(63) | 3, { 0 }, 0, { .op = CR_MOV_TO, .cr = 4, .gpr = GPR_RBX }, 2 },	/* all in the word */
		{ 0x04, BIT(63) | 9, { 0 }, 0, { .op = CR_MOV_FROM, .cr = 4, .gpr = GPR_R9 }, 2 },
		{ 0x65, BIT(63) | 1, { 0 }, 0, { .op = CR_MOV_TO, .cr = 0, .gpr = GPR_RCX }, 2 },	/* CR0_SEL_WRITE */
		{ 0x10, 0, { 0x0f, 0x06 }, 2, { .op = CR_CLTS, .cr = 0 }, 2 },
		{ 0x65, 0, { 0x0f, 0x01, 0xf2 }, 3, { .op = CR_LMSW, .cr = 0, .gpr = GPR_RDX, .lmsw = 0xbeef }, 3 },
	};

	(void)unused;
	fake.vcpu.gpr[GPR_RDX] = 0x1234beef;
	for (size_t i = 0; row_of(rows, i); i++) {
		put_code(rows[i].bytes, rows[i].size);
		assert_int_equal(leave_and_handle(rows[i].code, CODE + 2, rows[i].info1, 0), EXIT_SKIP);
		assert_string_equal(exits_fake.name, "cr");
		assert_int_equal(exits_fake.cr.op, rows[i].want.op);
		assert_int_equal(exits_fake.cr.cr, rows[i].want.cr);
		assert_int_equal(exits_fake.cr.lmsw, rows[i].want.lmsw);
		assert_int_equal(fake.vcpu.exit.insn_len, rows[i].len);
		if (rows[i].want.op != CR_CLTS)
			assert_int_equal(exits_fake.cr.gpr, rows[i].want.gpr);
	}
}

/* The same exits on a processor without assists; an instruction that has changed is the guest's to execute. */
static void test_cr_by_bytes(void **unused)
{
	static const uint8_t mov_to_cr4[] = { 0x0f, 0x22, 0xe3 }, mov_from_cr4[] = { 0x0f, 0x20, 0xe3 };
	static const uint8_t smsw[] = { 0x0f, 0x01, 0xe1 };

	(void)unused;
	svm_features = (struct svm_features){ 0 };
	put_code(mov_to_cr4, sizeof(mov_to_cr4));
	assert_int_equal(leave_and_handle(0x14, 0, 0, 0), EXIT_SKIP);
	assert_int_equal(exits_fake.cr.op, CR_MOV_TO);
	assert_int_equal(exits_fake.cr.cr, 4);
	assert_int_equal(exits_fake.cr.gpr, GPR_RBX);
	assert_int_equal(fake.vcpu.exit.insn_len, 3);
	put_code(mov_from_cr4, sizeof(mov_from_cr4));
	assert_int_equal(leave_and_handle(0x14, 0, 0, 0), EXIT_RESUME);
	assert_null(exits_fake.name);
	put_code(smsw, sizeof(smsw));		/* a read of CR0, but CR4 was read */
	assert_int_equal(leave_and_handle(0x04, 0, 0, 0), EXIT_RESUME);
	assert_null(exits_fake.name);
	fake.segs[SEG_CS].base = FAKE_RAM;
	assert_int_equal(leave_and_handle(0x14, 0, 0, 0), EXIT_STOP);
}

/* LMSW and SMSW with memory: the word is read and written there, or the fault is the guest's. */
static void test_msw_in_memory(void **unused)
{
	static const uint8_t lmsw[] = { 0x0f, 0x01, 0x33 }, smsw[] = { 0x0f, 0x01, 0x23 };	/* [ebx] */
	const uint16_t word = 0x0009;

	(void)unused;
	fake.vcpu.gpr[GPR_RBX] = DATA;
	vcpu_fake_put(&fake, DATA, &word, sizeof(word));
	put_code(lmsw, sizeof(lmsw));
	assert_int_equal(leave_and_handle(0x65, 0, 0, 0), EXIT_SKIP);
	assert_int_equal(exits_fake.cr.op, CR_LMSW);
	assert_int_equal(exits_fake.cr.lmsw, word);

	vcpu_fake_set_word(&fake, DATA, ~0ULL);
	put_code(smsw, sizeof(smsw));
	assert_int_equal(leave_and_handle(0x00, 0, 0, 0), EXIT_SKIP);
	assert_int_equal(vcpu_fake_word(&fake, DATA), 0xffffffffffff0033);
	assert_int_equal(fake.vcpu.exit.insn_len, 3);
	assert_null(exits_fake.name);

	fake.segs[SEG_DS].limit = DATA;		/* one byte too short: #GP, and nothing is stored */
	vcpu_fake_set_word(&fake, DATA, ~0ULL);
	assert_int_equal(leave_and_handle(0x00, 0, 0, 0), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_GP);
	assert_int_equal(vcpu_fake_word(&fake, DATA), ~0ULL);
	put_code(lmsw, sizeof(lmsw));
	assert_int_equal(leave_and_handle(0x65, 0, 0, 0), EXIT_RESUME);
	assert_int_equal(fake.vector, VEC_GP);
	assert_null(exits_fake.name);
}

/* SMSW to a register: 32 bits of CR0 where the operand has 32, 16 with a prefix. */
static void test_smsw_register(void **unused)
{
	static const uint8_t smsw[] = { 0x0f, 0x01, 0xe1 }, smsw16[] = { 0x66, 0x0f, 0x01, 0xe1 };	/* ECX, CX */

	(void)unused;
	fake.vcpu.gpr[GPR_RCX] = 0xaaaabbbb;
	put_code(smsw16, sizeof(smsw16));
	assert_int_equal(leave_and_handle(0x00, 0, 0, 0), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 0xaaaa0033);
	assert_int_equal(fake.vcpu.exit.insn_len, 4);
	put_code(smsw, sizeof(smsw));
	assert_int_equal(leave_and_handle(0x00, 0, 0, 0), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 0x60000033);
}

static void test_dr(void **unused)
{
	static const uint8_t mov_from_dr6[] = { 0x0f, 0x21, 0xf1 };	/* ECX */

	(void)unused;
	leave_and_handle(0x37, CODE + 3, 5, 0);		/* MOV DR7, RBP */
	assert_string_equal(exits_fake.name, "dr");
	assert_int_equal(exits_fake.dr.dr, 7);
	assert_int_equal(exits_fake.dr.gpr, GPR_RBP);
	assert_false(exits_fake.dr.is_read);
	svm_features = (struct svm_features){ 0 };
	put_code(mov_from_dr6, sizeof(mov_from_dr6));
	leave_and_handle(0x26, 0, 0, 0);
	assert_int_equal(exits_fake.dr.dr, 6);
	assert_int_equal(exits_fake.dr.gpr, GPR_RCX);
	assert_true(exits_fake.dr.is_read);
	assert_int_equal(fake.vcpu.exit.insn_len, 3);
	assert_int_equal(leave_and_handle(0x36, 0, 0, 0), EXIT_RESUME);	/* a write, but a read stands there */
	assert_null(exits_fake.name);
	fake.segs[SEG_CS].base = FAKE_RAM;
	assert_int_equal(leave_and_handle(0x36, 0, 0, 0), EXIT_STOP);
}

/* ---- Events ---- */

/* 15.12: which exceptions have an error code, and where #PF has its address. */
static void test_exceptions(void **unused)
{
	static const struct { uint8_t vector; bool has_error; } rows[] = {
		{ VEC_DE, false }, { VEC_BP, false }, { VEC_UD, false }, { VEC_NM, false }, { VEC_DF, true }, { VEC_TS, true },
		{ VEC_NP, true }, { VEC_SS, true }, { VEC_GP, true }, { VEC_PF, true }, { VEC_MF, false }, { VEC_AC, true },
		{ VEC_MC, false }, { VEC_XM, false },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		leave_and_handle(0x40 + rows[i].vector, CODE + 1, 0x18, 0xdead000);
		assert_string_equal(exits_fake.name, "exception");
		assert_int_equal(exits_fake.exc.vector, rows[i].vector);
		assert_int_equal(exits_fake.exc.has_error, rows[i].has_error);
		assert_int_equal(exits_fake.exc.error, rows[i].has_error ? 0x18 : 0);
		if (rows[i].vector == VEC_PF)
			assert_int_equal(exits_fake.exc.fault_addr, 0xdead000);
	}
}

/* DR6 says what raised #DB, and the next one starts from nothing; a step may be hidden. */
static void test_debug(void **unused)
{
	static const struct { uint64_t dr6, flags, want; bool hides_step; } rows[] = {
		{ 0xffff0ff0 | BIT(14), RFLAGS_TF, BIT(14), false },
		{ 0xffff0ff0 | 2, 0, 2, false },
		{ 0xffff0ff0 | BIT(13), 0, BIT(13), false },
		{ 0xffff0ff0, RFLAGS_TF, 0, false },
		{ 0xffff0ff0, RFLAGS_TF, BIT(14), true },
		{ 0xffff0ff0, 0, 0, true },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		quirks.hides_step = rows[i].hides_step;
		vmcb.save.dr6 = rows[i].dr6;
		vmcb.save.rflags = rows[i].flags;
		vmcb.control.clean_bits = ~0U;
		leave_and_handle(0x41, 0, 0, 0);
		assert_int_equal(exits_fake.exc.dr6_bits, rows[i].want);
		assert_int_equal(vmcb.save.dr6, 0xffff0ff0);
		assert_false(vmcb.control.clean_bits & BIT(6));
	}
	quirks.hides_step = false;
	is_own_step = true;		/* over an NMI's IRET: not for the guest */
	assert_int_equal(leave_and_handle(0x41, 0, 0, 0), EXIT_RESUME);
	assert_null(exits_fake.name);
	assert_int_equal(fake.progress, 1);
}

/* The host's interrupt is taken with interrupts open for a moment; SMI and INIT were, when GIF was set. */
static void test_host_events(void **unused)
{
	(void)unused;
	assert_int_equal(leave_and_handle(0x60, 0, 0, 0), EXIT_RESUME);
	assert_int_equal(insn_fake.open_irqs, 1);
	assert_int_equal(fake.progress, 1);
	for (uint64_t code = 0x62; code <= 0x63; code++) {
		assert_int_equal(leave_and_handle(code, 0, 0, 0), EXIT_RESUME);
		assert_int_equal(fake.progress, 1);
	}
	assert_int_equal(insn_fake.open_irqs, 1);
}

/* The IRET that ends an NMI's handler runs without being asked about again. */
static void test_iret(void **unused)
{
	(void)unused;
	fake.vcpu.nmi_blocked = true;
	vmcb.control.intercept_vector3 = BIT(20) | BIT(4);
	vmcb.control.clean_bits = ~0U;
	assert_int_equal(leave_and_handle(0x74, CODE + 1, 0, 0), EXIT_RESUME);
	assert_true(svm.iret_seen);
	assert_int_equal(svm.iret_rip, CODE);
	assert_int_equal(vmcb.control.intercept_vector3, BIT(4));
	assert_false(vmcb.control.clean_bits & BIT(0));
	assert_true(fake.vcpu.irq_check);
	assert_int_equal(fake.progress, 1);
	fake.vcpu.nmi_blocked = false;
	leave_and_handle(0x74, CODE + 1, 0, 0);
	assert_false(svm.iret_seen);
}

/* 15.14.1: IRET in bit 36, JMP in 38, an error code in 44; neither, and an event: a gate. */
static void test_task_switch(void **unused)
{
	static const uint8_t jmp_far[] = { 0xea, 0, 0, 0, 0, 0x28, 0 };
	static const struct { uint64_t info2; struct vevent event; bool is_event, blocks, unblocks; uint32_t len; } rows[] = {
		{ BIT(38), { 0 }, false, false, false, 7 },
		{ BIT(36), { 0 }, false, false, true, 7 },
		{ 0, { .is_valid = true, .type = VEVENT_NMI, .vector = 2 }, true, true, false, 0 },
		{ BIT(44) | 5, { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP, .has_error = true, .error = 5 },
		  true, false, false, 0 },
	};

	(void)unused;
	put_code(jmp_far, sizeof(jmp_far));
	for (size_t i = 0; row_of(rows, i); i++) {
		fake.vcpu.pending = rows[i].event;
		fake.vcpu.nmi_blocked = false;
		vmcb.control.exitintinfo = rows[i].event.is_valid ?
			BIT(31) | (uint64_t)rows[i].event.type << 8 | rows[i].event.vector : 0;
		leave_and_handle(0x7d, 0, 0x28, rows[i].info2);
		assert_int_equal(exits_fake.task.selector, 0x28);
		assert_int_equal(exits_fake.task.is_event, rows[i].is_event);
		assert_int_equal(fake.vcpu.nmi_blocked, rows[i].blocks);
		assert_string_equal(exits_fake.name, rows[i].unblocks ? "nmi_window" : "task_switch");
		assert_int_equal(fake.vcpu.exit.insn_len, rows[i].len);
		assert_int_equal(fake.vcpu.pending.is_valid, rows[i].is_event);
	}
}

/* ---- Behind the instruction ---- */

static uint64_t step(uint64_t rip, uint32_t len, uint16_t attrib)
{
	fake.vcpu.exit = (struct exit_record){ .rip = rip, .insn_len = len };
	vmcb.save.cs.attrib = attrib;
	svm_step_over(&fake.vcpu);
	return vmcb.save.rip;
}

static void test_rip(void **unused)
{
	const uint16_t code_32 = BIT(10), code_64 = BIT(9);

	(void)unused;
	assert_int_equal(step(0x1000, 2, code_32), 0x1002);
	assert_int_equal(step(0xffffffff, 2, code_32), 1);
	assert_int_equal(step(0xffffffff, 2, code_64), 0x100000001);
	assert_int_equal(step(0xffffffff80000000, 3, code_64), 0xffffffff80000003);
}

static void test_what_is_left_behind(void **unused)
{
	static const struct { uint64_t flags, shadow, want_flags; bool is_trapped; } rows[] = {
		{ 0, 0, 0, false }, { RFLAGS_RF, 0, 0, false }, { RFLAGS_IF, 1, RFLAGS_IF, false },
		{ RFLAGS_TF, 0, RFLAGS_TF, true }, { RFLAGS_TF | RFLAGS_RF, 1, RFLAGS_TF, true },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		fake.injected = 0;
		fake.vcpu.dr6 = DR6_RESET;
		fake.regs[REG_RFLAGS] = rows[i].flags;
		vmcb.save.rflags = rows[i].flags;
		vmcb.control.interrupt_shadow = rows[i].shadow;
		step(0x1000, 1, 0);
		assert_int_equal(vmcb.save.rflags, rows[i].want_flags);
		assert_int_equal(vmcb.control.interrupt_shadow, 0);
		assert_int_equal(fake.injected, rows[i].is_trapped);
		assert_int_equal(fake.vcpu.dr6 & DR6_BS, rows[i].is_trapped ? DR6_BS : 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rows), TEST(test_codes), TEST(test_refused), TEST(test_refused_cr3), TEST(test_real_refusal), TEST(test_length_by_next_rip),
		TEST(test_length_by_bytes), TEST(test_length_in_64_bit_mode),
		TEST(test_no_bytes), TEST(test_interrupted), TEST(test_ports), TEST(test_msr_direction), TEST(test_npf),
		TEST(test_cr), TEST(test_cr_by_bytes), TEST(test_msw_in_memory), TEST(test_smsw_register), TEST(test_dr),
		TEST(test_exceptions), TEST(test_debug), TEST(test_host_events), TEST(test_iret), TEST(test_task_switch),
		TEST(test_rip), TEST(test_what_is_left_behind),
	};

	return cmocka_run_group_tests_name("svm_exits", tests, NULL, NULL);
}
