/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/features.c and cpu_init.c: what CPUID says, bit by bit, how the processor is set up, and
 * which others may join it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/cpu_init.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/idt.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/msr.h"
#include "hv/host.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"
#include "hv/timer.h"
#include "insn_fake.h"
#include "log_fake.h"

static unsigned speculations, machine_checks, gdts, idts;

void gdt_init(struct cpu *cpu) { (void)cpu; gdts++; insn_fake_msr(MSR_GS_BASE)->val = 0; }
void idt_init(void) { idts++; }
void idt_load(struct cpu *cpu) { (void)cpu; idts++; }
void paging_early(void) {}
uint64_t paging_root(void) { return 0x5000; }
void speculation_init(void) { speculations++; }
void machine_check_enable(void) { machine_checks++; }
void speculation_words(char *text, size_t size) { (void)size; strcpy(text, "nothing"); }
uint64_t fpu_guest_xcr0_mask(void) { return 7; }
uint64_t time_now(void) { return 0; }
uint64_t time_hz(void) { return 2400000000; }

/* ---- A processor of the test's: 16 leaves that say something, others 0 ---- */

static struct { uint32_t leaf, subleaf; struct cpuid_regs regs; } leaves[16];
static unsigned leaf_count;

static struct cpuid_regs *leaf(uint32_t number, uint32_t subleaf)
{
	for (unsigned i = 0; i < leaf_count; i++)
		if (leaves[i].leaf == number && leaves[i].subleaf == subleaf)
			return &leaves[i].regs;
	assert_true(leaf_count < countof(leaves));
	leaves[leaf_count].leaf = number;
	leaves[leaf_count].subleaf = subleaf;
	leaves[leaf_count].regs = (struct cpuid_regs){ 0 };
	return &leaves[leaf_count++].regs;
}

/* Intel answers a leaf beyond the last with the last one's data: who asks learns nonsense. */
static struct cpuid_regs answer(uint32_t number, uint32_t subleaf)
{
	for (unsigned i = 0; i < leaf_count; i++)
		if (leaves[i].leaf == number && leaves[i].subleaf == subleaf)
			return leaves[i].regs;
	if (number >= 0x40000000 && number < 0x80000000)
		return (struct cpuid_regs){ 0 };
	if (number > leaf(number & 0x80000000, 0)->eax)
		fail_msg("leaf %x was asked and does not exist", number);
	return (struct cpuid_regs){ 0 };
}

static void vendor(const char *name)
{
	struct cpuid_regs *regs = leaf(0, 0);

	memcpy(&regs->ebx, name, 4);
	memcpy(&regs->edx, name + 4, 4);
	memcpy(&regs->ecx, name + 8, 4);
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	insn_fake.cpuid = answer;
	(void)insn_fake_msr(MSR_GS_BASE);
	(void)insn_fake_msr(MSR_EFER);
	leaf_count = 0;
	leaf(0, 0)->eax = 0x16;
	leaf(0x80000000, 0)->eax = 0x80000021;
	leaf(0x80000008, 0)->eax = 0x3027;
	vendor("GenuineIntel");
	speculations = machine_checks = gdts = idts = 0;
	log_fake_init();
	return 0;
}

/* ---- What it can do ---- */

#define FLAG(name)	offsetof(struct cpu_features, has_##name), #name
enum { EAX, EBX, ECX, EDX };

/* SDM vol. 2, CPUID; APM vol. 3, appendix E. */
static const struct { size_t flag; const char *name; uint32_t leaf, subleaf, reg, bit; } bits[] = {
	{ FLAG(vmx), 1, 0, ECX, 5 }, { FLAG(pcid), 1, 0, ECX, 17 }, { FLAG(x2apic), 1, 0, ECX, 21 },
	{ FLAG(tsc_deadline), 1, 0, ECX, 24 }, { FLAG(xsave), 1, 0, ECX, 26 }, { FLAG(avx), 1, 0, ECX, 28 },
	{ FLAG(rdrand), 1, 0, ECX, 30 }, { FLAG(hypervisor), 1, 0, ECX, 31 }, { FLAG(fsgsbase), 7, 0, EBX, 0 },
	{ FLAG(smep), 7, 0, EBX, 7 }, { FLAG(invpcid), 7, 0, EBX, 10 }, { FLAG(avx512), 7, 0, EBX, 16 },
	{ FLAG(rdseed), 7, 0, EBX, 18 }, { FLAG(smap), 7, 0, EBX, 20 }, { FLAG(umip), 7, 0, ECX, 2 }, { FLAG(pku), 7, 0, ECX, 3 },
	{ FLAG(xsaves), 0xd, 1, EAX, 3 }, { FLAG(hybrid), 7, 0, EDX, 15 }, { FLAG(arch_capabilities), 7, 0, EDX, 29 },
	{ FLAG(spec_ctrl), 7, 0, EDX, 26 }, { FLAG(l1d_flush), 7, 0, EDX, 28 }, { FLAG(md_clear), 7, 0, EDX, 10 },
	{ FLAG(ibpb), 0x80000008, 0, EBX, 12 }, { FLAG(ibrs), 0x80000008, 0, EBX, 14 }, { FLAG(ibrs_always), 0x80000008, 0, EBX, 16 },
	{ FLAG(auto_ibrs), 0x80000021, 0, EAX, 8 }, { FLAG(svm), 0x80000001, 0, ECX, 2 }, { FLAG(nx), 0x80000001, 0, EDX, 20 },
	{ FLAG(1g), 0x80000001, 0, EDX, 26 }, { FLAG(rdtscp), 0x80000001, 0, EDX, 27 },
	{ FLAG(invariant_tsc), 0x80000007, 0, EDX, 8 },
};

static uint32_t *word(struct cpuid_regs *regs, uint32_t reg)
{
	return reg == EAX ? &regs->eax : reg == EBX ? &regs->ebx : reg == ECX ? &regs->ecx : &regs->edx;
}

static bool flag_at(size_t offset) { return *((const bool *)&cpu_features + offset); }

/* Each bit sets its own flag, and no other. */
static void test_bits(void **unused)
{
	(void)unused;
	for (size_t i = 0; row_of(bits, i); i++) {
		set_up(NULL);
		(void)insn_fake_msr(MSR_IA32_ARCH_CAPABILITIES);
		*word(leaf(bits[i].leaf, bits[i].subleaf), bits[i].reg) |= (uint32_t)BIT(bits[i].bit);
		cpu_init_boot(0);
		for (size_t other = 0; other < countof(bits); other++)
			if (flag_at(bits[other].flag) != (other == i))
				fail_msg("bit of %s: has_%s", bits[i].name, bits[other].name);
	}
}

/* An old processor has few leaves; none beyond the last is asked (answer fails then). */
static void test_few_leaves(void **unused)
{
	(void)unused;
	leaf(0, 0)->eax = 1;
	leaf(0x80000000, 0)->eax = 0x80000001;
	leaf(1, 0)->ecx = BIT(26);
	leaf_count--;			/* no XSAVE after all */
	leaf(0x80000001, 0)->edx = (uint32_t)BIT(20);
	cpu_init_boot(0);
	assert_true(cpu_features.has_nx);
	assert_int_equal(cpu_features.phys_bits, 36);
	assert_string_equal(cpu_features.brand, "");
}

static void test_names(void **unused)
{
	static const char brand[48] = "Brand of 3 leaves, 16 bytes of text each    ";

	(void)unused;
	for (unsigned i = 0; i < 3; i++)
		memcpy(leaf(0x80000002 + i, 0), brand + 16 * i, 16);
	leaf(1, 0)->ecx = (uint32_t)BIT(31);
	memcpy(&leaf(0x40000000, 0)->ebx, "KVMKVMKVM\0\0", 12);
	cpu_init_boot(0);
	assert_string_equal(cpu_features.vendor, "GenuineIntel");
	assert_true(cpu_features.is_intel && !cpu_features.is_amd);
	assert_string_equal(cpu_features.brand, "Brand of 3 leaves, 16 bytes of text each");	/* blanks at the end are padding */
	assert_string_equal(cpu_features.hypervisor, "KVMKVMKVM");
	assert_int_equal(cpu_features.phys_bits, 0x27);
	host_report();
	assert_non_null(strstr(log_fake_text, "processor Brand of 3 leaves, 16 bytes of text each under KVMKVMKVM, 39 address bits, TSC 2400 MHz"));
	vendor("HygonGenuine");
	leaf(0x40000000, 0)->ebx = 0;
	cpu_init_boot(0);
	assert_true(cpu_features.is_amd && !cpu_features.is_intel);
	assert_string_equal(cpu_features.hypervisor, "a hypervisor");
	vendor("AuthenticAMD");
	cpu_init_boot(0);
	assert_true(cpu_features.is_amd);
}

/* INTEL-SA-00210: Intel's have it until the MSR's bit 6 says no. */
static void test_erratum(void **unused)
{
	(void)unused;
	cpu_init_boot(0);
	assert_true(cpu_features.has_page_size_erratum);
	leaf(7, 0)->edx = (uint32_t)BIT(29);
	insn_fake_msr(0x10a)->val = BIT(6) | 1;
	cpu_init_boot(0);
	assert_false(cpu_features.has_page_size_erratum);
	assert_int_equal(cpu_features.arch_capabilities, BIT(6) | 1);
	leaf(7, 0)->edx = 0;
	vendor("AuthenticAMD");
	cpu_init_boot(0);
	assert_false(cpu_features.has_page_size_erratum);
}

static void test_xsave_sizes(void **unused)
{
	(void)unused;
	leaf(1, 0)->ecx = (uint32_t)BIT(26);
	*leaf(0xd, 0) = (struct cpuid_regs){ .eax = 0x207, .ebx = 832, .ecx = 2696, .edx = 1 };
	cpu_init_boot(0);
	assert_int_equal(cpu_features.xsave_size, 2696);	/* for all it supports, ECX, not for what is on, EBX */
	assert_int_equal(cpu_features.xcr0_all, 0x100000207);
	assert_int_equal(insn_fake.xcr0, 7);
}

/* ---- How it is set up ---- */

/* CR4: PAE 5, MCE 6, OSFXSR 9, OSXMMEXCPT 10, UMIP 11, OSXSAVE 18, SMEP 20. Nothing of the firmware's survives. */
static void test_control_registers(void **unused)
{
	static const struct { uint32_t leaf, reg, bit; uint64_t cr4, efer; } rows[] = {
		{ 0x80000008, EDX, 31, 0, 0 }, { 1, EDX, 7, BIT(6), 0 }, { 7, EBX, 7, BIT(20), 0 }, { 7, ECX, 2, BIT(11), 0 },
		{ 1, ECX, 26, BIT(18), 0 }, { 0x80000001, EDX, 20, 0, BIT(11) }, { 0x80000021, EAX, 8, 0, BIT(21) },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(NULL);
		insn_fake.cr0 = insn_fake.cr4 = insn_fake.dr[7] = ~0ULL;
		insn_fake_msr(MSR_EFER)->val = ~0ULL;
		*word(leaf(rows[i].leaf, 0), rows[i].reg) |= (uint32_t)BIT(rows[i].bit);
		cpu_init_boot(3);
		assert_int_equal(insn_fake.cr4, (BIT(5) | BIT(9) | BIT(10)) | rows[i].cr4);
		assert_int_equal(insn_fake.cr0, 0x80010033);		/* PG, WP, NE, ET, MP, PE */
		assert_int_equal(insn_fake_msr(MSR_EFER)->val, BIT(8) | BIT(10) | rows[i].efer);
		assert_int_equal(insn_fake.dr[7], 0x400);
		assert_int_equal(insn_fake.xcr0, rows[i].bit == 26 ? 7 : 0);	/* without XSAVE the instruction is #UD */
		assert_int_equal(speculations, 1);
		assert_int_equal(machine_checks, 1);
		assert_int_equal(insn_fake_msr(MSR_GS_BASE)->val, (uintptr_t)cpus[0]);	/* behind the GDT, which clears it */
		assert_ptr_equal(cpus[0]->self, cpus[0]);
		assert_int_equal(cpus[0]->apic_id, 3);
	}
}

static void test_breakpoints(void **unused)
{
	const uint64_t addr[4] = { 1, 2, 3, 4 };

	(void)unused;
	cpu_set_breakpoints(addr);
	assert_memory_equal(insn_fake.dr, addr, sizeof(addr));
}

/* ---- Others ---- */

static void test_another_processor(void **unused)
{
	struct cpu other = { .index = 2 };

	(void)unused;
	cpu_init_other(&other);
	assert_int_equal(insn_fake.cr3, 0x5000);
	assert_int_equal(insn_fake_msr(MSR_GS_BASE)->val, (uintptr_t)&other);
	assert_int_equal(gdts, 1);
	assert_int_equal(idts, 1);		/* loaded, not filled in again */
}

/* Whatever the first has, the others need; what they have besides is nobody's concern. */
static void test_join(void **unused)
{
	static const struct { uint32_t leaf, reg, bit; const char *first_only, *second_only; } rows[] = {
		{ 7, EBX, 20, "smap", NULL }, { 0x80000001, EDX, 27, "rdtscp", NULL }, { 0xd, EAX, 2, "a component of XSAVE", NULL },
		{ 0x80000008, EAX, 3, "address bits", "address bits" },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		uint32_t *at;
		const char *why;

		set_up(NULL);
		leaf(1, 0)->ecx = (uint32_t)BIT(26);
		leaf(0xd, 0)->eax = 3;
		leaf(0xd, 1)->eax = 0;
		at = word(leaf(rows[i].leaf, 0), rows[i].reg);
		*at |= (uint32_t)BIT(rows[i].bit);
		cpu_init_boot(0);
		assert_null(cpu_join());
		assert_int_equal(speculations, 2);
		*at &= ~(uint32_t)BIT(rows[i].bit);
		why = cpu_join();
		assert_non_null(why);
		assert_non_null(strstr(why, rows[i].first_only));
		assert_int_equal(speculations, 2);		/* it was not set up */
		cpu_init_boot(0);
		*at |= (uint32_t)BIT(rows[i].bit);
		why = cpu_join();
		assert_int_equal(!why, !rows[i].second_only);
	}
}

static void test_join_safe(void **unused)
{
	(void)unused;
	leaf(7, 0)->edx = (uint32_t)BIT(29);
	insn_fake_msr(0x10a)->val = BIT(6) | BIT(0);
	cpu_init_boot(0);
	insn_fake_msr(0x10a)->val = BIT(6);
	assert_string_equal(cpu_join(), "it differs from the boot processor: what IA32_ARCH_CAPABILITIES says it is safe from");
	insn_fake_msr(0x10a)->val = BIT(6) | BIT(0) | BIT(1);
	assert_null(cpu_join());
	vendor("AuthenticAMD");
	assert_non_null(strstr(cpu_join(), "the vendor"));
}

static void test_warnings(void **unused)
{
	(void)unused;
	vendor("AuthenticAMD");
	leaf(0x80000007, 0)->edx = (uint32_t)BIT(8);
	cpu_init_boot(0);
	host_warn();
	assert_int_equal(log_fake_lines, 0);
	vendor("GenuineIntel");
	leaf(7, 0)->edx = (uint32_t)BIT(15);
	leaf(0x80000007, 0)->edx = 0;
	cpu_init_boot(0);
	host_warn();
	assert_non_null(strstr(log_fake_text, "TZ-W008"));
	assert_non_null(strstr(log_fake_text, "TZ-I013"));
	assert_non_null(strstr(log_fake_text, "TZ-W020"));
	log_fake_init();
	leaf(1, 0)->ecx = (uint32_t)BIT(31);	/* in a hypervisor the rate is its business */
	cpu_init_boot(0);
	host_warn();
	assert_null(strstr(log_fake_text, "TZ-W020"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bits), TEST(test_few_leaves), TEST(test_names), TEST(test_erratum), TEST(test_xsave_sizes),
		TEST(test_control_registers), TEST(test_breakpoints), TEST(test_another_processor), TEST(test_join),
		TEST(test_join_safe), TEST(test_warnings),
	};

	return cmocka_run_group_tests_name("host_cpu", tests, NULL, NULL);
}
