/* SPDX-License-Identifier: MIT */
/*
 * The answers of CPUID as literal words: each leaf that a guest sees, from a host that offers every bit, and from one
 * whose every word tells which leaf and register it comes from, so that a leaf in another's place is noticed.
 * What depends on facts and vCPUs is in test_policy.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/exit/cpuid.h"
#include "arch/x86/exit/cpuid_policy.h"
#include "arch/x86/host/fpu.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"

uint64_t fpu_live_xcr0(void)
{
	return 0;
}

static struct cpuid_regs head(uint32_t leaf)
{
	if (leaf == 0)
		return (struct cpuid_regs){ 0x1b, 0x756e6547, 0x6c65746e, 0x49656e69 };
	return (struct cpuid_regs){ 0x80000008, 1, 2, 3 };
}

/* Every bit. */
static struct cpuid_regs generous(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 0 || leaf == 0x80000000)
		return head(leaf);
	if (leaf == 0xd && subleaf == 1)
		return (struct cpuid_regs){ ~0U, 576, ~0U, ~0U };
	if (leaf == 0xd && subleaf == 2)
		return (struct cpuid_regs){ 256, 576, ~0U, ~0U };
	return (struct cpuid_regs){ ~0U, ~0U, ~0U, ~0U };
}

/* The same, but test_every_leaf says of it that it compacts wrongly (virt/quirks.h). */
static struct cpuid_regs compacts_wrongly(uint32_t leaf, uint32_t subleaf)
{
	return generous(leaf, subleaf);
}

/* The same, but test_every_leaf says of it that CMPXCHG16B garbles flags. */
static struct cpuid_regs garbles_flags(uint32_t leaf, uint32_t subleaf)
{
	return generous(leaf, subleaf);
}

static struct cpuid_regs telling(uint32_t leaf, uint32_t subleaf)
{
	const uint32_t mark = (leaf & 0xff) << 24 | (leaf >> 31) << 23 | subleaf << 16;

	if (leaf == 0 || leaf == 0x80000000)
		return head(leaf);
	if (leaf == 4 && subleaf == 2)
		return (struct cpuid_regs){ 0 };
	return (struct cpuid_regs){ mark | 0x1a, mark | 0x2b, mark | 0x3c, mark | 0x4d };
}

static const struct row {
	cpuid_host_fn *host;
	uint32_t leaf, subleaf;
	struct cpuid_regs says;
} rows[] = {
	/*
	 * No DTES64, MONITOR, VMX, SMX, EST, TM2, xTPR, PDCM, DCA, OSXSAVE from the host; x2APIC, deadline,
	 * hypervisor always.
	 */
	{ generous, 1, 0, { 0xffffffff, 0x0000ffff, 0xf7fa3203, 0x078bfbff } },
	{ generous, 2, 0, { ~0U, ~0U, ~0U, ~0U } },
	/* Core numbers for three vCPUs: 0 to 3, here and in leaf 0BH. */
	{ generous, 4, 3, { 0x0c0003ff, ~0U, ~0U, ~0U } },
	{ generous, 5, 0, { 0 } },
	{ generous, 6, 0, { 0 } },
	/* Without AVX-512, whose state is not in XCR0 here; TSC_ADJUST always. */
	{ generous, 7, 0, { 0, 0x219c07ab, 0x00400704, 0 } },
	{ generous, 7, 1, { 0 } },
	{ generous, 0xa, 0, { 0 } },
	{ generous, 0xb, 0, { 0, 1, 0x100, 0 } },
	{ generous, 0xb, 1, { 2, 3, 0x201, 0 } },
	{ generous, 0xb, 2, { 0 } },
	{ generous, 0xd, 0, { 7, 832, 832, 0 } },
	{ generous, 0xd, 1, { 0xf, 0, 0, 0 } },
	{ garbles_flags, 1, 0, { 0xffffffff, 0x0000ffff, 0xf7fa1203, 0x078bfbff } },
	{ compacts_wrongly, 0xd, 1, { 5, 0, 0, 0 } },		/* XSAVEOPT and XGETBV of index 1: neither XSAVEC nor XSAVES */
	{ generous, 0xd, 2, { 256, 576, 2, 0 } },
	{ generous, 0xd, 3, { 0 } },
	{ generous, 0x15, 0, { 1000000, 2500000, 1000000000, 0 } },
	{ generous, 0x16, 0, { 2500, 2500, 1000, 0 } },
	{ generous, 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
	{ generous, 0x80000001, 0, { ~0U, ~0U, 0x000001e1, 0x2fd3fbff } },
	{ generous, 0x80000007, 0, { 0, 0, 0, 0x100 } },
	{ generous, 0x80000007, 3, { 0, 0, 0, 0x100 } },	/* no subleaves: ECX does not matter */
	{ generous, 0x80000008, 0, { 0x0000ffff, 0, 0, 0 } },
	{ generous, 0x80000009, 0, { 0 } },
	{ generous, 0x40000000, 0, { 0x40000010, 0x70617254, 0x48657a65, 0x72657079 } },
	{ generous, 0x40000010, 0, { 2500000, 1000000, 0, 0 } },
	/* "KVMKVMKVM"; no pause behind port 80h, the clock (second MSRs), steal time, one clock for all. */
	{ generous, 0x40000100, 0, { 0x40000101, 0x4b4d564b, 0x564b4d56, 0x4d } },
	{ generous, 0x40000101, 0, { 1 << 24 | 1 << 11 | 1 << 9 | 1 << 7 | 1 << 6 | 1 << 5 | 1 << 3 | 1 << 1, 0, 0, 0 } },
	{ telling, 0, 0, { 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 } },
	{ telling, 2, 0, { 0x0200001a, 0x0200002b, 0x0200003c, 0x0200004d } },
	{ telling, 4, 0, { 0x0c00001a, 0x0400002b, 0x0400003c, 0x0400004d } },
	{ telling, 4, 1, { 0x0c00001a, 0x0401002b, 0x0401003c, 0x0401004d } },
	{ telling, 4, 2, { 0 } },
	{ telling, 4, 3, { 0 } },
	{ telling, 0x80000002, 0, { 0x0280001a, 0x0280002b, 0x0280003c, 0x0280004d } },
	{ telling, 0x80000003, 0, { 0x0380001a, 0x0380002b, 0x0380003c, 0x0380004d } },
	{ telling, 0x80000004, 0, { 0x0480001a, 0x0480002b, 0x0480003c, 0x0480004d } },
	{ telling, 0x80000005, 0, { 0x0580001a, 0x0580002b, 0x0580003c, 0x0580004d } },
	{ telling, 0x80000006, 0, { 0x0680001a, 0x0680002b, 0x0680003c, 0x0680004d } },
};

static void test_every_leaf(void **unused)
{
	static struct cpuid_table table;
	struct cpuid_facts facts = {
		.tsc_hz = 2500000000, .lapic_hz = 1000000000, .xcr0_mask = 7, .vcpu_count = 3,
		.can_rdtscp = true, .can_invpcid = true, .can_xsaves = true, .can_end_by_word = true,
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++) {
		const struct row *row = &rows[i];
		struct cpuid_regs got;

		facts.can_compact = row->host != compacts_wrongly;
		facts.can_cmpxchg16b = row->host != garbles_flags;
		cpuid_build(&table, &facts, row->host);
		got = cpuid_lookup(&table, row->leaf, row->subleaf);
		assert_int_equal(nospec_took(row->leaf & 0xff, CPUID_INDEX_MAX), row->leaf < 0x40000000 || row->leaf >= 0x80000000);
		if (got.eax != row->says.eax || got.ebx != row->says.ebx || got.ecx != row->says.ecx || got.edx != row->says.edx)
			fail_msg("leaf %x.%u: %08x %08x %08x %08x", row->leaf, row->subleaf, got.eax, got.ebx, got.ecx,
				    got.edx);
	}
	facts.can_end_by_word = false;		/* the processor delivers: EOI does not exit */
	cpuid_build(&table, &facts, generous);
	assert_int_equal(cpuid_lookup(&table, 0x40000101, 0).eax, 1 << 24 | 1 << 11 | 1 << 9 | 1 << 7 | 1 << 5 | 1 << 3 | 1 << 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_leaf) };

	return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
