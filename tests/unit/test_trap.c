/* SPDX-License-Identifier: MIT */
/* arch/x86/host/trap.c: which exceptions of our own are expected, what is said of the others, who gets an interrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/interrupt.h"
#include "arch/x86/host/fixup.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/trap.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/cpu_state.h"
#include "arch/x86/virt/quirks.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"
#include "hv/panic.h"
#include "insn_fake.h"
#include "log_fake.h"
#include "panic_fake.h"

struct quirks quirks;

#define GUARD	0x7000U		/* the page below a stack */

static struct trap_frame frame;
static unsigned eois, interrupts;
static uint8_t last;

uint64_t fixup_find(uint64_t rip) { return rip == 0x1000 ? 0x1002 : 0; }
uint64_t gdt_guard_page(unsigned i) { return i == 0 ? 0x3000 : i == 1 ? GUARD : 0; }
void host_lapic_eoi(void) { eois++; }

static void on_interrupt(uint8_t vector)
{
	assert_int_equal(eois, interrupts);	/* the EOI comes behind */
	interrupts++;
	last = vector;
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	log_fake_init();
	memset(&frame, 0, sizeof(frame));
	eois = interrupts = 0;
	return 0;
}

static void trap(void) { trap_handle(&frame); }

/* ---- Exceptions ---- */

/* A safe access that faults goes on where its row says; any other #GP and #UD is a bug. */
static void test_fixup(void **unused)
{
	(void)unused;
	for (uint64_t vector = VEC_UD; vector <= VEC_GP; vector += VEC_GP - VEC_UD) {
		frame = (struct trap_frame){ .vector = vector, .rip = 0x1000 };
		trap();
		assert_int_equal(frame.rip, 0x1002);
		frame.rip = 0x1001;
		assert_true(panics(trap));
		assert_non_null(strstr(panic_fake_text, vector == VEC_UD ? "#UD" : "#GP"));
	}
}

static void test_bugs(void **unused)
{
	static const struct { uint64_t vector; const char *says; } rows[] = {
		{ 0, "#DE divide" }, { 3, "#BP" }, { 7, "#NM" }, { 10, "#TS" }, { 12, "#SS" }, { 17, "#AC" }, { 18, "#MC machine" },
		{ 21, "#CP" }, { 31, "reserved" }, { 8, "#DF double" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		frame.vector = rows[i].vector;
		assert_true(panics(trap));
		assert_non_null(strstr(panic_fake_text, rows[i].says));
		assert_non_null(strstr(trap_name(rows[i].vector), rows[i].says));
	}
	assert_string_equal(trap_name(32), "interrupt");
}

/* An NMI may strike anywhere: it touches nothing, unless another processor panics. */
static unsigned joins;
void panic_join(const struct trap_frame *at) { assert_ptr_equal(at, &frame); joins++; }

static void test_nmi(void **unused)
{
	struct trap_frame before = { .vector = VEC_NMI, .rip = 0x5000, .rflags = 2 };

	(void)unused;
	frame = before;
	joins = 0;
	trap();
	assert_memory_equal(&frame, &before, sizeof(frame));
	assert_int_equal(joins, 1);
	assert_int_equal(eois, 0);
	assert_int_equal(log_fake_lines, 0);
}

/*
 * Where a guest's step strikes behind VMRUN it is dropped. Anywhere else, or one of ours, or a watchpoint, it
 * is a bug.
 */
static void test_step(void **unused)
{
	(void)unused;
	frame.vector = VEC_DB;
	insn_fake.dr[6] = 0xffff0ff0 | BIT(14);
	assert_true(panics(trap));
	quirks.steps_reach_us = true;
	trap();
	assert_int_equal(insn_fake.dr[6], 0xffff0ff0);
	assert_int_equal(quirks.steps_dropped, 1);
	insn_fake.dr[6] = 0xffff0ff1;
	assert_true(panics(trap));
	insn_fake.dr[6] = 0xffff0ff0 | BIT(14);
	frame.rflags = BIT(8);
	assert_true(panics(trap));
}

/* SDM vol. 3, 4.7: the error code's bits 0 present, 1 write, 4 fetch. */
static void test_page_fault(void **unused)
{
	static const struct { uint64_t error, addr; const char *does, *why; } rows[] = {
		{ 0, 0x10, "reading 0x10", "where nothing is mapped" }, { 2, 0x10, "writing", "where nothing is mapped" },
		{ 3, 0x10, "writing", "without that right" }, { 0x11, 0x10, "executing", "without that right" },
		{ 2, GUARD + 0xff8, "writing 0x7ff8", "below the end of a stack" }, { 2, GUARD + 0x1000, "writing", "nothing is mapped" },
		{ 2, 0x3000, "writing", "below the end of a stack" },
	};

	(void)unused;
	frame.vector = VEC_PF;
	for (size_t i = 0; row_of(rows, i); i++) {
		frame.error = rows[i].error;
		insn_fake.cr2 = rows[i].addr;
		assert_true(panics(trap));
		assert_non_null(strstr(panic_fake_text, rows[i].does));
		assert_non_null(strstr(panic_fake_text, rows[i].why));
	}
}

static void test_double_fault(void **unused)
{
	(void)unused;
	frame.vector = VEC_DF;
	insn_fake.cr2 = GUARD;
	assert_true(panics(trap));
	assert_non_null(strstr(panic_fake_text, "stack overflow"));
	insn_fake.cr2 = 0x10;
	assert_true(panics(trap));
	assert_null(strstr(panic_fake_text, "overflow"));
}

/* ---- Interrupts ---- */

static void test_interrupts(void **unused)
{
	(void)unused;
	cpu_set_interrupt(0xf1, on_interrupt);
	frame.vector = 0xf1;
	trap();
	assert_int_equal(last, 0xf1);
	assert_int_equal(eois, 1);
	cpu_dispatch_interrupt(0xf1);		/* the way VT-x takes */
	assert_int_equal(interrupts, 2);
	assert_int_equal(eois, 2);
	cpu_dispatch_interrupt(VECTOR_SPURIOUS);	/* no EOI: it would end another */
	assert_int_equal(eois, 2);
	cpu_dispatch_interrupt(0x27);		/* nobody's: ended all the same, told once */
	cpu_dispatch_interrupt(0x28);
	assert_int_equal(eois, 4);
	assert_int_equal(log_fake_lines, 1);
	assert_non_null(strstr(log_fake_text, "interrupt 27 came"));
}

/* ---- Words ---- */

static void test_registers(void **unused)
{
	(void)unused;
	frame = (struct trap_frame){ .rip = 0xabcd1, .rsp = 0xabcd2, .r15 = 0xabcd3, .error = 0xabcd4, .ss = 0xabcd5 };
	trap_log_registers(&frame);
	assert_int_equal(log_fake_lines, 6);	/* 22 of them, four a line */
	assert_non_null(strstr(log_fake_text, "rip    00000000000abcd1  rsp    00000000000abcd2"));
	assert_non_null(strstr(log_fake_text, "r15    00000000000abcd3"));
	assert_non_null(strstr(log_fake_text, "error  00000000000abcd4"));
	assert_non_null(strstr(log_fake_text, "ss     00000000000abcd5"));
	log_fake_init();
	insn_fake_msr(MSR_EFER)->val = 0xd01;
	insn_fake_msr(MSR_GS_BASE)->val = 0x99;
	insn_fake.cr3 = 0x77000;
	trap_log_control();
	assert_non_null(strstr(log_fake_text, "cr3    0000000000077000"));
	assert_non_null(strstr(log_fake_text, "efer   0000000000000d01"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fixup), TEST(test_bugs), TEST(test_nmi), TEST(test_step), TEST(test_page_fault), TEST(test_double_fault),
		TEST(test_interrupts), TEST(test_registers),
	};

	return cmocka_run_group_tests_name("trap", tests, NULL, NULL);
}
