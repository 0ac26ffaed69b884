/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches in a guest of two tasks: what is saved, loaded and linked, by each way and with each format;
 * and every row of SDM vol. 3, table 8-1 "Exception Conditions Checked During a Task Switch".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/debug.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/task_switch.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/processor.h"
#include "vcpu_fake.h"

#define GDT		0x1000U
#define LDT		0x2000U
#define TSS_A		0x3000U		/* the running task's */
#define TSS_B		0x4000U
#define STACK_B		0x8000U
#define RIP		0x5000U
#define INSN_LEN	7U

/* Selectors of the GDT, which is built from `gdt_start`. */
enum { CODE = 0x08, DATA = 0x10, SEL_A = 0x18, SEL_B = 0x20, SEL_LDT = 0x28, CODE3 = 0x33, DATA3 = 0x3b, CONFORMING = 0x40,
       READ_ONLY = 0x48, EXEC_ONLY = 0x50, GONE = 0x58, GDT_SIZE = 0x60 };

#define FLAT(type)	(0x00cf00000000ffffULL | (uint64_t)(type) << 40)
#define SYSTEM(base, limit, type) ((limit) | (uint64_t)(base) << 16 | (uint64_t)(type) << 40)

static struct vcpu_fake fake;

static const uint64_t gdt_start[GDT_SIZE / 8] = {
	0, FLAT(0x9a), FLAT(0x93), SYSTEM(TSS_A, 103, 0x8b), SYSTEM(TSS_B, 103, 0x89), SYSTEM(LDT, 15, 0x82),
	FLAT(0xfb), FLAT(0xf3), FLAT(0x9f), FLAT(0x91), FLAT(0x99), FLAT(0x13),
};

static void put(uint64_t at, uint64_t val, size_t len) { vcpu_fake_put(&fake, at, &val, len); }
static void put_b(size_t field, uint32_t val) { put(TSS_B + field, val, sizeof(val)); }
static uint32_t get32(uint64_t at) { return (uint32_t)vcpu_fake_word(&fake, at); }
static uint16_t get16(uint64_t at) { return (uint16_t)vcpu_fake_word(&fake, at); }
static bool is_busy(unsigned selector) { return get16(GDT + (selector & ~7U) + 5) & TSS_BUSY_BIT; }

#define B32(field)	offsetof(struct tss32, field)
#define B16(field)	offsetof(struct tss16, field)

static void put_task_b(void)
{
	static const uint32_t segs[TASK_SEGS] = { DATA, CODE, DATA, DATA, 0, DATA3 };

	put_b(B32(eip), 0x6000);
	put_b(B32(eflags), RFLAGS_ONE | RFLAGS_IF);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		put_b(B32(gpr) + 4 * i, 0xb0000000 + i);
	put_b(B32(gpr) + 4 * GPR_RSP, STACK_B);
	for (unsigned i = 0; i < TASK_SEGS; i++)
		put_b(B32(seg) + 4 * i, segs[i]);
}

static int set_up(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	dr_reset(&fake.vcpu);
	vcpu_fake_put(&fake, GDT, gdt_start, sizeof(gdt_start));
	fake.segs[SEG_GDTR] = (struct segment){ .base = GDT, .limit = GDT_SIZE - 1 };
	fake.segs[SEG_TR] = (struct segment){ .base = TSS_A, .limit = 103, .selector = SEL_A, .rights = SEG_P | 0xb };
	fake.segs[SEG_LDTR].rights = SEG_UNUSABLE;
	for (unsigned i = 0; i < TASK_SEGS; i++)
		fake.segs[i].selector = (uint16_t)(0xa00 + 8 * i);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		fake.vcpu.gpr[i] = 0xa0000000 + i;
	fake.regs[REG_RSP] = 0xa0007000;
	fake.regs[REG_RFLAGS] = RFLAGS_ONE | RFLAGS_CF | RFLAGS_RF;
	fake.vcpu.exit.rip = RIP;
	fake.vcpu.exit.insn_len = INSN_LEN;
	put_task_b();
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	vcpu_fake_free(&fake);
	return 0;
}

static void switch_to(uint16_t selector, enum task_source source)
{
	const struct task_switch how = { .selector = selector, .source = source };

	assert_int_equal(exit_task_switch(&fake.vcpu, &how), EXIT_RESUME);
}

static void switch_by_event(struct vevent event)
{
	const struct task_switch how = { .selector = SEL_B, .source = TASK_GATE, .is_event = true,
					 .has_error = event.has_error, .error = event.error };

	fake.vcpu.pending = event;
	assert_int_equal(exit_task_switch(&fake.vcpu, &how), EXIT_RESUME);
}

static void check_b_runs(void)
{
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
	assert_int_equal(fake.segs[SEG_TR].base, TSS_B);
	assert_int_equal(fake.segs[SEG_TR].rights & SEG_TYPE_MASK, TSS_TYPE_32 | TSS_BUSY_BIT);
	assert_true(is_busy(SEL_B));
	assert_true(fake.regs[REG_CR0] & CR0_TS);
	assert_int_equal(fake.regs[REG_RIP], 0x6000);
	assert_int_equal(fake.regs[REG_RSP], STACK_B);
	assert_int_equal(fake.vcpu.gpr[GPR_RDI], 0xb0000007);
	assert_int_equal(fake.segs[SEG_CS].selector, CODE);
	assert_int_equal(fake.segs[SEG_CS].limit, 0xffffffff);
	assert_int_equal(fake.segs[SEG_CS].rights, SEG_G | SEG_DB | SEG_P | SEG_S | 0xb);
	assert_int_equal(get16(GDT + CODE + 5) & 0xff, 0x9b);		/* accessed, from now on */
	assert_true(fake.segs[SEG_FS].rights & SEG_UNUSABLE);
	assert_int_equal(fake.segs[SEG_GS].rights & SEG_DPL_MASK, 3 << SEG_DPL_SHIFT);
}

static void test_jmp(void **unused)
{
	(void)unused;
	put(TSS_A + B32(seg) + 2, 0x1234, 2);
	fake.shadow = 1;
	switch_to(SEL_B, TASK_JMP);
	check_b_runs();
	assert_int_equal(fake.shadow, 0);	/* of the instruction before: the task does not begin in it */
	assert_false(is_busy(SEL_A));
	assert_int_equal(fake.regs[REG_RFLAGS], RFLAGS_ONE | RFLAGS_IF);
	assert_int_equal(get16(TSS_B), 0);
	assert_int_equal(get32(TSS_A + B32(eip)), RIP + INSN_LEN);
	assert_int_equal(get32(TSS_A + B32(eflags)), RFLAGS_ONE | RFLAGS_CF);
	assert_int_equal(get32(TSS_A + B32(gpr) + 4 * GPR_RSP), 0xa0007000);
	assert_int_equal(get32(TSS_A + B32(gpr) + 4 * GPR_RSI), 0xa0000006);
	assert_int_equal(get16(TSS_A + B32(seg) + 4 * SEG_GS), 0xa28);
	assert_int_equal(get16(TSS_A + B32(seg) + 2), 0x1234);	/* reserved: kept */
	assert_true(fake.progress > 0);
}

static void test_call_and_iret(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < TASK_SEGS; i++)
		fake.segs[i].selector = i == SEG_CS ? CODE : DATA;
	switch_to(SEL_B, TASK_CALL);
	check_b_runs();
	assert_true(is_busy(SEL_A));
	assert_int_equal(get16(TSS_B), SEL_A);
	assert_int_equal(fake.regs[REG_RFLAGS], RFLAGS_ONE | RFLAGS_IF | RFLAGS_NT);

	fake.vcpu.exit.rip = 0x6010;
	fake.vcpu.exit.insn_len = 1;
	switch_to(SEL_A, TASK_IRET);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_A);
	assert_true(is_busy(SEL_A));
	assert_false(is_busy(SEL_B));
	assert_int_equal(fake.regs[REG_RIP], RIP + INSN_LEN);
	assert_int_equal(fake.regs[REG_RFLAGS], RFLAGS_ONE | RFLAGS_CF);
	assert_int_equal(get32(TSS_B + B32(eip)), 0x6011);
	assert_int_equal(get32(TSS_B + B32(eflags)), RFLAGS_ONE | RFLAGS_IF);	/* NT is over */
}

static void test_event_with_error(void **unused)
{
	(void)unused;
	fake.regs[REG_RFLAGS] = RFLAGS_ONE;
	switch_by_event((struct vevent){ .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP, .has_error = true,
					 .error = 0x2468 });
	assert_int_equal(fake.injected, 0);
	assert_false(fake.vcpu.pending.is_valid);
	assert_int_equal(fake.regs[REG_RSP], STACK_B - 4);
	assert_int_equal(get32(STACK_B - 4), 0x2468);
	assert_int_equal(get32(TSS_A + B32(eip)), RIP);			/* a fault: the instruction itself */
	assert_true(get32(TSS_A + B32(eflags)) & RFLAGS_RF);
	assert_true(fake.regs[REG_RFLAGS] & RFLAGS_NT);
	assert_int_equal(get16(TSS_B), SEL_A);
}

static void test_interrupt(void **unused)
{
	(void)unused;
	fake.regs[REG_RFLAGS] = RFLAGS_ONE;
	switch_by_event((struct vevent){ .is_valid = true, .type = VEVENT_IRQ, .vector = 0x30 });
	check_b_runs();
	assert_false(fake.vcpu.pending.is_valid);
	assert_int_equal(get32(TSS_A + B32(eip)), RIP);
	assert_false(get32(TSS_A + B32(eflags)) & RFLAGS_RF);
}

/* Its FS, GS and upper halves do not exist; CR3 stays. */
static void test_16_bits(void **unused)
{
	static const struct tss16 b = { .ip = 0x6000, .flags = 2, .gpr = { 0xb000, 0xb001, 0xb002, 0xb003, STACK_B },
					.seg = { DATA, CODE, DATA, DATA }, .ldt = 0 };

	(void)unused;
	put(GDT + SEL_B, SYSTEM(TSS_B, 43, 0x81), 8);
	vcpu_fake_put(&fake, TSS_B, &b, sizeof(b));
	fake.regs[REG_CR3] = 0x123000;
	switch_by_event((struct vevent){ .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_TS, .has_error = true,
					 .error = 0x12345678 });
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.regs[REG_RSP], STACK_B - 2);
	assert_int_equal(get16(STACK_B - 2), 0x5678);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], 0xb001);
	assert_true(fake.segs[SEG_GS].rights & SEG_UNUSABLE);
	assert_int_equal(fake.segs[SEG_TR].rights & SEG_TYPE_MASK, TSS_TYPE_16 | TSS_BUSY_BIT);
	assert_int_equal(fake.regs[REG_CR3], 0x123000);

	fake.vcpu.exit.rip = 0x6000;
	fake.vcpu.exit.insn_len = 1;
	for (unsigned i = 0; i < TASK_SEGS; i++)
		put(TSS_A + B32(seg) + 4 * i, i == SEG_CS ? CODE : DATA, 4);
	switch_to(SEL_A, TASK_IRET);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(get16(TSS_B + B16(ip)), 0x6001);
	assert_int_equal(get16(TSS_B + B16(gpr) + 2 * GPR_RDX), 0xb002);
	assert_int_equal(get16(TSS_B + B16(seg) + 2 * SEG_CS), CODE);
	assert_int_equal(get16(TSS_B + B16(ldt)), 0);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_A);
}

static void test_vm86(void **unused)
{
	(void)unused;
	put_b(B32(eflags), RFLAGS_ONE | RFLAGS_VM);
	put_b(B32(seg) + 4 * SEG_CS, 0x1234);
	put_b(B32(seg) + 4 * SEG_SS, 0);
	switch_to(SEL_B, TASK_JMP);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.segs[SEG_CS].base, 0x12340);
	assert_int_equal(fake.segs[SEG_CS].limit, 0xffff);
	assert_int_equal(fake.segs[SEG_CS].rights, 0xf3);
	assert_int_equal(fake.segs[SEG_SS].rights, 0xf3);
}

static void test_ldt_and_user(void **unused)
{
	(void)unused;
	put(LDT + 8, FLAT(0xf3), 8);
	put_b(B32(ldt), SEL_LDT);
	put_b(B32(seg) + 4 * SEG_CS, CODE3);
	put_b(B32(seg) + 4 * SEG_SS, DATA3);
	put_b(B32(seg) + 4 * SEG_ES, 0xf);
	put_b(B32(seg) + 4 * SEG_DS, CONFORMING | 3);
	switch_to(SEL_B, TASK_JMP);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.segs[SEG_LDTR].base, LDT);
	assert_int_equal(fake.segs[SEG_ES].selector, 0xf);
	assert_int_equal(vcpu_cpl(&fake.vcpu), 3);
}

static void test_debug(void **unused)
{
	(void)unused;
	fake.vcpu.dr7 = DR7_RESET | 0x3ff;
	put(TSS_B + B32(trap), 1, 2);
	switch_to(SEL_B, TASK_JMP);
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.vector, VEC_DB);
	assert_int_equal(fake.vcpu.dr6, DR6_RESET | DR6_BT);
	assert_int_equal(fake.vcpu.dr7, DR7_RESET | 0x2aa);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
}

/* Exceptions in the old task: one change of memory each, and nothing else may change then. */
static const struct refusal {
	const char *what;
	uint64_t at, val;
	size_t   len;
	uint16_t selector;
	enum task_source source;
	uint8_t  vector;
	uint32_t error;
} refusals[] = {
	{ "outside the GDT", 0, 0, 0, GDT_SIZE, TASK_JMP, VEC_GP, GDT_SIZE },
	{ "outside the GDT, link", 0, 0, 0, GDT_SIZE, TASK_IRET, VEC_TS, GDT_SIZE },
	{ "null", 0, 0, 0, 3, TASK_CALL, VEC_GP, 0 },
	{ "in the LDT", 0, 0, 0, SEL_B | 4, TASK_IRET, VEC_TS, SEL_B | 4 },
	{ "no TSS", 0, 0, 0, DATA, TASK_JMP, VEC_GP, DATA },
	{ "an LDT", 0, 0, 0, SEL_LDT, TASK_IRET, VEC_TS, SEL_LDT },
	{ "busy", 0, 0, 0, SEL_A, TASK_CALL, VEC_GP, SEL_A },
	{ "busy, JMP", 0, 0, 0, SEL_A | 3, TASK_JMP, VEC_GP, SEL_A },
	{ "not busy", 0, 0, 0, SEL_B, TASK_IRET, VEC_TS, SEL_B },
	{ "not present", GDT + SEL_B + 5, 0x09, 1, SEL_B, TASK_JMP, VEC_NP, SEL_B },
	{ "not present, link", GDT + SEL_B + 5, 0x0b, 1, SEL_B, TASK_IRET, VEC_NP, SEL_B },
	{ "too small", GDT + SEL_B, 102, 2, SEL_B, TASK_JMP, VEC_TS, SEL_B },
	{ "too small, 16 bits", GDT + SEL_B, SYSTEM(TSS_B, 42, 0x81), 8, SEL_B, TASK_GATE, VEC_TS, SEL_B },
};

static void test_refused(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(refusals); i++) {
		const struct refusal *row = &refusals[i];
		uint64_t before[2][13];

		vcpu_fake_free(&fake);
		set_up(NULL);
		put(row->at, row->val, row->len);
		for (unsigned k = 0; k < 13; k++) {
			before[0][k] = vcpu_fake_word(&fake, TSS_A + 8 * k);
			before[1][k] = vcpu_fake_word(&fake, k < countof(gdt_start) ? GDT + 8 * k : TSS_B);
		}
		switch_to(row->selector, row->source);
		if (fake.injected != 1 || fake.vector != row->vector || fake.error != row->error)
			fail_msg("%s: vector %u, error %#x", row->what, fake.vector, fake.error);
		for (unsigned k = 0; k < 13; k++) {
			assert_int_equal(before[0][k], vcpu_fake_word(&fake, TSS_A + 8 * k));
			assert_int_equal(before[1][k], vcpu_fake_word(&fake, k < countof(gdt_start) ? GDT + 8 * k : TSS_B));
		}
		assert_int_equal(fake.segs[SEG_TR].selector, SEL_A);
		assert_int_equal(fake.regs[REG_RSP], 0xa0007000);
	}
}

/* Exceptions in the new task, which is complete but for its segments. */
static const struct { const char *what; size_t at; uint32_t val; uint8_t vector; uint32_t error; } late[] = {
	{ "LDT outside the GDT", B32(ldt), GDT_SIZE, VEC_TS, GDT_SIZE },
	{ "LDT in itself", B32(ldt), SEL_LDT | 4, VEC_TS, SEL_LDT | 4 },
	{ "LDT is data", B32(ldt), DATA, VEC_TS, DATA },
	{ "CS null", B32(seg) + 4 * SEG_CS, 3, VEC_TS, 0 },
	{ "CS outside", B32(seg) + 4 * SEG_CS, 0x100, VEC_TS, 0x100 },
	{ "CS is data", B32(seg) + 4 * SEG_CS, DATA, VEC_TS, DATA },
	{ "CS of another level", B32(seg) + 4 * SEG_CS, CODE | 3, VEC_TS, CODE },
	{ "CS not present", B32(seg) + 4 * SEG_CS, 0x60, VEC_NP, 0x60 },
	{ "SS null", B32(seg) + 4 * SEG_SS, 0, VEC_TS, 0 },
	{ "SS is code", B32(seg) + 4 * SEG_SS, CODE, VEC_TS, CODE },
	{ "SS read-only", B32(seg) + 4 * SEG_SS, READ_ONLY, VEC_TS, READ_ONLY },
	{ "SS of another level", B32(seg) + 4 * SEG_SS, DATA3, VEC_TS, DATA3 & ~3U },
	{ "SS not present", B32(seg) + 4 * SEG_SS, GONE, VEC_SS, GONE },
	{ "ES without an LDT", B32(seg) + 4 * SEG_ES, 0xc, VEC_TS, 0xc },
	{ "DS only to execute", B32(seg) + 4 * SEG_DS, EXEC_ONLY, VEC_TS, EXEC_ONLY },
	{ "DS a TSS", B32(seg) + 4 * SEG_DS, SEL_A, VEC_TS, SEL_A },
	{ "FS for a user of level 3", B32(seg) + 4 * SEG_FS, DATA | 3, VEC_TS, DATA },
	{ "GS not present", B32(seg) + 4 * SEG_GS, GONE, VEC_NP, GONE },
};

static void test_late(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(late); i++) {
		vcpu_fake_free(&fake);
		set_up(NULL);
		put(GDT + GDT_SIZE, FLAT(0x1b), 8);
		if (late[i].val == GDT_SIZE && late[i].vector == VEC_NP)
			fake.segs[SEG_GDTR].limit += 8;
		put_b(late[i].at, late[i].val);
		switch_to(SEL_B, TASK_JMP);
		if (fake.injected != 1 || fake.vector != late[i].vector || fake.error != late[i].error)
			fail_msg("%s: %u times, vector %u, error %#x", late[i].what, fake.injected, fake.vector, fake.error);
		assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
		assert_int_equal(fake.regs[REG_RIP], 0x6000);
		assert_int_equal(fake.segs[SEG_CS].selector, get16(TSS_B + B32(seg) + 4 * SEG_CS));
		assert_true(fake.segs[SEG_CS].rights & SEG_P);
	}
}

/* A fault on the way of an interrupt says so in its error code, and the interrupt is not lost before it. */
static void test_external(void **unused)
{
	const struct vevent irq = { .is_valid = true, .type = VEVENT_IRQ, .vector = 0x30 };

	(void)unused;
	put_b(B32(seg) + 4 * SEG_DS, EXEC_ONLY);
	switch_by_event(irq);
	assert_int_equal(fake.vector, VEC_TS);
	assert_int_equal(fake.error, EXEC_ONLY | 1);
	assert_true(fake.vcpu.pending.is_valid);	/* vcpu_inject, real, combines the two */
}

static void test_error_without_stack(void **unused)
{
	(void)unused;
	put(GDT + DATA, SYSTEM(0, 0xfff, 0x93) | 0x00400000ULL << 32, 8);
	switch_by_event((struct vevent){ .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_DF, .has_error = true });
	assert_int_equal(fake.vector, VEC_SS);
	assert_int_equal(fake.regs[REG_RSP], STACK_B);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
}

static void test_not_in_memory(void **unused)
{
	const struct task_switch how = { .selector = SEL_B, .source = TASK_JMP };

	(void)unused;
	put(GDT + SEL_B, SYSTEM(0x800000, 103, 0x89), 8);
	assert_int_equal(exit_task_switch(&fake.vcpu, &how), EXIT_STOP);
	assert_true(fake.is_killed);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_A);
}

#define PAGES		0x10000U	/* page directory and table of 32-bit paging */
#define OTHER_PAGES	0x20000U

static void map_32(uint32_t directory)
{
	put(directory, (directory + 0x1000) | 3, 4);
	for (uint32_t page = 0; page < 0x30; page++)
		put(directory + 0x1000 + 4 * page, page << 12 | 3, 4);
}

/* With paging: the new task's tables are used for its segments, a missing page of the old TSS is a #PF before all. */
static void test_paging(void **unused)
{
	(void)unused;
	map_32(PAGES);
	map_32(OTHER_PAGES);
	fake.regs[REG_CR0] |= CR0_PG | CR0_WP;
	fake.regs[REG_CR3] = PAGES;
	put_b(B32(cr3), OTHER_PAGES);
	put(PAGES + 0x1000 + 4 * (TSS_A >> 12), TSS_A | 1, 4);		/* read-only */
	fake.segs[SEG_SS].rights |= SEG_DPL_MASK;			/* the processor's own accesses are no user's */
	switch_to(SEL_B, TASK_JMP);
	assert_int_equal(fake.vector, VEC_PF);
	assert_int_equal(fake.error, PF_PRESENT | PF_WRITE);
	assert_int_equal(fake.vcpu.cr2, TSS_A);
	assert_int_equal(fake.regs[REG_CR3], PAGES);
	assert_false(is_busy(SEL_B));

	put(PAGES + 0x1000 + 4 * (TSS_A >> 12), TSS_A | 3, 4);
	put(OTHER_PAGES + 0x1000 + 4 * (GDT >> 12), 0, 4);
	switch_to(SEL_B, TASK_JMP);
	assert_int_equal(fake.injected, 2);
	assert_int_equal(fake.vector, VEC_PF);
	assert_int_equal(fake.error, 0);
	assert_int_equal(fake.vcpu.cr2, GDT + CODE);
	assert_int_equal(fake.regs[REG_CR3], OTHER_PAGES);
	assert_true(fake.flushes > 0);
}

/* A CR3 whose four pointers are bad is refused like a MOV to CR3. */
static void test_pae(void **unused)
{
	(void)unused;
	put(PAGES, (PAGES + 0x1000) | 1, 8);
	put(PAGES + 0x1000, (PAGES + 0x2000) | 3, 8);
	for (uint32_t page = 0; page < 0x30; page++)
		put(PAGES + 0x2000 + 8 * page, page << 12 | 3, 8);
	put(OTHER_PAGES + 16, BIT(FAKE_PHYS_BITS) | 1, 8);
	fake.regs[REG_CR0] |= CR0_PG;
	fake.regs[REG_CR4] = CR4_PAE;
	fake.regs[REG_CR3] = PAGES;
	put_b(B32(cr3), OTHER_PAGES);
	switch_to(SEL_B, TASK_JMP);
	assert_int_equal(fake.vector, VEC_GP);
	assert_int_equal(fake.error, 0);
	assert_int_equal(fake.regs[REG_CR3], PAGES);
	put_b(B32(cr3), PAGES);
	switch_to(SEL_B, TASK_JMP);
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
}

/*
 * The old TSS lies across two chunks of RAM that nobody has touched: each has an exit to itself, and nothing
 * else happens.
 */
static void test_untouched(void **unused)
{
	const uint64_t far = 0x40000000;
	uint64_t before = fake.vm.gpm.populated;

	(void)unused;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), 2 * LARGE_SIZE), 0);
	fake.segs[SEG_TR].base = far + LARGE_SIZE - B32(eip);
	for (unsigned i = 1; i <= 2; i++) {
		switch_to(SEL_B, TASK_JMP);
		assert_int_equal(fake.vm.gpm.populated, before + i * LARGE_SIZE);
		assert_int_equal(fake.progress, i);
		assert_int_equal(fake.injected, 0);
		assert_int_equal(fake.segs[SEG_TR].selector, SEL_A);
		assert_true(is_busy(SEL_A));
	}
	switch_to(SEL_B, TASK_JMP);
	check_b_runs();
	assert_int_equal(get32(far + LARGE_SIZE), RIP + INSN_LEN);
}

/* One exit populates one chunk, and the new task has not begun. */
static void check_only_populates(const struct vevent *event)
{
	const uint64_t before = fake.vm.gpm.populated;

	switch_by_event(*event);
	assert_int_equal(fake.vm.gpm.populated, before + LARGE_SIZE);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_A);
	assert_int_equal(fake.regs[REG_RIP], 0);
}

static const struct vevent with_error = { .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_GP, .has_error = true,
					  .error = 0x2468 };

/*
 * What the new task needs lies in RAM that nobody has touched: an LDT of which DS' descriptor lies across the
 * end of one chunk, and the stack that takes the error code.
 */
static void test_untouched_late(void **unused)
{
	const uint64_t far = 0x40000000, ldt = far + LARGE_SIZE - 12, data = FLAT(0x93);
	const uint32_t stack = far + 3 * LARGE_SIZE - 8;

	(void)unused;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), 3 * LARGE_SIZE), 0);
	put(GDT + SEL_LDT, SYSTEM(ldt & 0xffffff, 15, 0x82) | far >> 24 << 56, 8);
	put(far + LARGE_SIZE, data >> 32, 4);
	put_b(B32(ldt), SEL_LDT);
	put_b(B32(seg) + 4 * SEG_DS, 0xc);
	put_b(B32(gpr) + 4 * GPR_RSP, stack);
	check_only_populates(&with_error);
	check_only_populates(&with_error);
	switch_by_event(with_error);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
	assert_int_equal(fake.segs[SEG_DS].selector, 0xc);
	assert_int_equal(get32(stack - 4), 0x2468);
	assert_false(host_processor()->only_looks);
}

#define PTE_RW		3U
#define PTE_USER_RW	7U

/* The stack of a task in virtual-8086 mode is where its selector says, and SP is 16 bits of ESP. */
static void test_untouched_vm86(void **unused)
{
	const uint32_t far = 0x40000000;

	(void)unused;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), LARGE_SIZE), 0);
	map_32(PAGES);
	put(PAGES + 0x1000 + 4 * 0x107, far | PTE_USER_RW, 4);
	fake.regs[REG_CR0] |= CR0_PG;
	fake.regs[REG_CR4] = CR4_SMAP;		/* a user's page, which the new task may write and we may read */
	put(PAGES, (PAGES + 0x1000) | PTE_USER_RW, 4);
	fake.regs[REG_CR3] = PAGES;
	put_b(B32(cr3), PAGES);
	put_b(B32(eflags), RFLAGS_ONE | RFLAGS_VM);
	put_b(B32(seg) + 4 * SEG_SS, 0xffff);
	put_b(B32(gpr) + 4 * GPR_RSP, 0xb0008000);
	check_only_populates(&with_error);
	switch_by_event(with_error);
	assert_int_equal(fake.injected, 0);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
	assert_int_equal(get32(far + 0xfec), 0x2468);
}

/*
 * The old task's registers are saved in the page table of the new one, which then leads to RAM that nobody has touched:
 * nothing is populated any more, and nothing can be made again.
 */
static void test_overwrites_its_tables(void **unused)
{
	const struct task_switch how = { .selector = SEL_B, .source = TASK_JMP };
	const uint32_t far = 0x40000000, table = OTHER_PAGES + 0x1000;
	uint64_t before;

	(void)unused;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), LARGE_SIZE), 0);
	map_32(OTHER_PAGES);
	map_32(PAGES);
	fake.regs[REG_CR0] |= CR0_PG | CR0_WP;
	fake.regs[REG_CR3] = PAGES;
	put_b(B32(cr3), OTHER_PAGES);
	fake.segs[SEG_TR].base = table + 4 * (GDT >> 12) - B32(gpr);	/* EAX becomes the entry that maps the GDT */
	fake.vcpu.gpr[GPR_RAX] = far | PTE_RW;
	before = fake.vm.gpm.populated;
	assert_int_equal(exit_task_switch(&fake.vcpu, &how), EXIT_STOP);
	assert_true(fake.is_killed);
	assert_int_equal(fake.vm.gpm.populated, before);
	assert_false(host_processor()->only_looks);
}

/* The four entries that CR3 points to lie in RAM that nobody has touched, and then lead nowhere. */
static void test_untouched_pae(void **unused)
{
	const uint64_t far = 0x40000000;

	(void)unused;
	assert_int_equal(gpm_add_slot(&fake.vm.gpm, gpa(far), LARGE_SIZE), 0);
	put(PAGES, (PAGES + 0x1000) | 1, 8);
	put(PAGES + 0x1000, (PAGES + 0x2000) | 3, 8);
	for (uint32_t page = 0; page < 0x30; page++)
		put(PAGES + 0x2000 + 8 * page, page << 12 | 3, 8);
	fake.regs[REG_CR0] |= CR0_PG;
	fake.regs[REG_CR4] = CR4_PAE;
	fake.regs[REG_CR3] = PAGES;
	put_b(B32(cr3), far);
	check_only_populates(&with_error);
	switch_by_event(with_error);
	assert_int_equal(fake.segs[SEG_TR].selector, SEL_B);
	assert_int_equal(fake.vector, VEC_PF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_jmp), TEST(test_call_and_iret), TEST(test_event_with_error), TEST(test_interrupt), TEST(test_16_bits),
		TEST(test_vm86), TEST(test_ldt_and_user), TEST(test_debug), TEST(test_refused), TEST(test_late),
		TEST(test_external), TEST(test_error_without_stack), TEST(test_not_in_memory), TEST(test_paging), TEST(test_pae),
		TEST(test_untouched), TEST(test_untouched_late), TEST(test_untouched_vm86), TEST(test_untouched_pae),
		TEST(test_overwrites_its_tables),
	};

	return cmocka_run_group_tests_name("task_switch", tests, NULL, NULL);
}
