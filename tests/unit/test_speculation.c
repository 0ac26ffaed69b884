/* SPDX-License-Identifier: MIT */
/* arch/x86/host/speculation.c: which barrier on which processor, written when the VM changes and only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* The real instruction under another name; #pragma once keeps the product's files from reading it again. */
#define wrmsr real_wrmsr
#include "arch/x86/hw/insn.h"
#undef wrmsr
#define this_cpu real_this_cpu
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/features.h"
#undef this_cpu

#include "insn_fake.h"

static struct { uint32_t msr; uint64_t val; } writes[8];
static unsigned write_count;
static struct cpu this;
static unsigned fills;

static void wrmsr(uint32_t msr, uint64_t val)
{
	writes[write_count].msr = msr;
	writes[write_count++].val = val;
}

static struct cpu *this_cpu(void)
{
	return &this;
}

#include "arch/x86/host/speculation.c"

struct cpu_features cpu_features;

void return_stack_replace(void)
{
	fills++;
}

#define IBRS	1U
#define AUTO	2U
#define IBPB	4U
#define L1D	8U
#define VERW	16U
#define ONE	32U
#define ALL	64U

static const struct {
	const char *what;
	struct cpu_features has;
	unsigned plan;
} rows[] = {
	{ "knows nothing", { .phys_bits = 36 }, 0 },
	{ "Haswell: IBRS costs too much there", { .has_spec_ctrl = true, .has_l1d_flush = true, .has_md_clear = true },
	  IBPB | L1D | VERW | ALL },
	{ "Cascade Lake", { .has_spec_ctrl = true, .has_l1d_flush = true, .has_md_clear = true,
			    .arch_capabilities = 0x2b }, IBRS | IBPB | VERW | ONE },
	{ "Sapphire Rapids, its microcode mended", { .has_spec_ctrl = true, .has_l1d_flush = true, .has_md_clear = true,
			    .arch_capabilities = 0x0100002b }, IBRS | IBPB | VERW },
	{ "IBRS_ALL without L1TF's bits", { .has_spec_ctrl = true, .has_l1d_flush = true, .arch_capabilities = 0x02 },
	  IBRS | IBPB | L1D | ONE },
	{ "under a hypervisor that flushes itself", { .has_spec_ctrl = true, .has_l1d_flush = true,
						      .arch_capabilities = 0x08 }, IBPB | ALL },
	{ "IBRS_ALL without the MSR", { .arch_capabilities = 0x02 }, 0 },
	{ "a wish without the MSR", { .has_ibrs_always = true }, 0 },
	{ "IBRS for each entry to a kernel: not for us", { .has_ibrs = true }, 0 },
	{ "Zen", { .has_ibpb = true }, IBPB | ALL },
	{ "Zen 3: on for good", { .has_ibpb = true, .has_ibrs = true, .has_ibrs_always = true }, IBRS | IBPB | ALL },
	{ "Zen 4: a bit of EFER", { .has_ibpb = true, .has_ibrs = true, .has_ibrs_always = true,
			     .has_auto_ibrs = true }, AUTO | IBPB },
};

static void test_plan(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		struct speculation made = speculation_plan(&rows[i].has);
		unsigned bits = (made.ibrs ? IBRS : 0) | (made.auto_ibrs ? AUTO : 0) | (made.ibpb ? IBPB : 0) |
				(made.flush_l1d ? L1D : 0) | (made.clear_buffers ? VERW : 0) |
				(made.at_exit == RETURN_FILL_ONE ? ONE : made.at_exit == RETURN_FILL_ALL ? ALL : 0);

		if (bits != rows[i].plan)
			fail_msg("%s: 0x%x, not 0x%x", rows[i].what, bits, rows[i].plan);
	}
}

static void start(const struct cpu_features *has)
{
	cpu_features = *has;
	this = (struct cpu){ 0 };
	write_count = fills = 0;
	insn_fake_init();
	speculation_init();
}

static void test_switch(void **unused)
{
	(void)unused;
	start(&(struct cpu_features){ .has_spec_ctrl = true, .has_l1d_flush = true, .has_md_clear = true,
				      .arch_capabilities = 0x02 });
	assert_int_equal(write_count, 1);
	assert_int_equal(writes[0].msr, 0x48);
	assert_int_equal(writes[0].val, 1);
	speculation_leave_vm(1);
	assert_int_equal(write_count, 3);
	assert_int_equal(writes[1].msr, 0x49);
	assert_int_equal(writes[1].val, 1);
	assert_int_equal(writes[2].msr, 0x10b);
	assert_int_equal(writes[2].val, 1);
	speculation_leave_vm(1);		/* another vCPU of the same VM */
	assert_int_equal(write_count, 3);
	speculation_leave_vm(2);
	speculation_leave_vm(1);
	assert_int_equal(write_count, 7);
	assert_int_equal(fills, 3);
	assert_int_equal(insn_fake.verws, 3);
	assert_int_equal(speculation_return_fill(), RETURN_FILL_ONE);
}

/* On a processor that has none of the MSRs none is touched: that would be a #GP. */
static void test_old_processor(void **unused)
{
	char words[96];

	(void)unused;
	start(&(struct cpu_features){ .phys_bits = 36 });
	speculation_leave_vm(1);
	speculation_leave_vm(2);
	assert_int_equal(write_count, 0);
	assert_int_equal(insn_fake.verws, 0);
	assert_int_equal(speculation_return_fill(), RETURN_FILL_NONE);
	speculation_words(words, sizeof(words));
	assert_string_equal(words, "nothing that CPUID offers");
	start(&(struct cpu_features){ .has_ibpb = true, .has_md_clear = true });
	assert_int_equal(speculation_return_fill(), RETURN_FILL_ALL);
	speculation_words(words, sizeof(words));
	assert_string_equal(words, "IBPB, VERW, returns at exits");
	speculation_words(words, 3);
	assert_string_equal(words, "IB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan), cmocka_unit_test(test_switch), cmocka_unit_test(test_old_processor),
	};

	return cmocka_run_group_tests_name("speculation", tests, NULL, NULL);
}
