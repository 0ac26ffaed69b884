/* SPDX-License-Identifier: MIT */
/*
 * What a guest is told and what it may set: CPUID from made-up hosts, MSRs, control registers, XCR0; with the
 * real handlers over a fake back end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/x86/exit/cpuid.h"
#include "arch/x86/exit/cpuid_policy.h"
#include "arch/x86/exit/handlers.h"
#include "arch/x86/exit/policy.h"
#include "arch/x86/pv/kvm.h"
#include "arch/x86/pv/eoi.h"
#include "arch/x86/pv/pvclock.h"
#include "arch/x86/pv/steal.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/msr.h"
#include "hv/lib/util.h"
#include "vcpu_fake.h"

#define HZ		2000000000ULL
#define NON_CANONICAL	0x0000800000000000ULL

static struct vcpu_fake fake;
static struct cpuid_table table;

/* ---- What the handlers call besides the fake ---- */

static uint64_t hz = 2000000000;
uint64_t time_hz(void) { return hz; }
uint64_t vcpu_tsc(const struct vcpu *vcpu) { return 1000000 + vcpu->tsc_offset; }
uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu) { return 70 + vcpu->tsc_offset; }
static uint64_t settled_at, moved_to;	/* offsets of the TSC at the two calls around a change */
void lapic_timer_settle(struct lapic *lapic) { (void)lapic; settled_at = fake.vcpu.tsc_offset; }
void lapic_tsc_moved(struct lapic *lapic) { (void)lapic; moved_to = fake.vcpu.tsc_offset; }

/* The vCPU has been of this vendor from the start: what it was before, it has forgotten. */
static void be_amd(bool is_amd)
{
	memset(fake.vcpu.msr_guesses, 0, sizeof(fake.vcpu.msr_guesses));
	fake_caps = (struct guest_caps){ .vendor = is_amd ? MSR_AMD : MSR_INTEL, .has_counters = is_amd, .needs_wide_tss = !is_amd };
}

uint64_t fpu_guest_xcr0_mask(void) { return 7; }
uint64_t fpu_live_xcr0(void) { return fake.vcpu.xcr0; }
void pvclock_update(struct vcpu *vcpu) { (void)vcpu; }
bool pvclock_write_time(struct vcpu *vcpu, uint64_t val) { (void)vcpu; return !(val & 2); }
bool steal_write(struct vcpu *vcpu, uint64_t val) { (void)vcpu; return !(val & 2); }
bool eoi_write(struct vcpu *vcpu, uint64_t val) { (void)vcpu; return !(val & 2); }
bool pvclock_write_wall(struct vcpu *vcpu, uint64_t val) { (void)vcpu; return !(val & 2); }
bool lapic_base_write(struct lapic *lapic, uint64_t val) { lapic->s.base_msr = val; return !(val & 1); }
bool lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *val) { *val = lapic->id; return msr == 0x802; }
bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t val) { (void)lapic; return msr == 0x80b && !val; }
void lapic_deadline_write(struct lapic *lapic, uint64_t val) { lapic->s.tsc_deadline = val; }
uint64_t lapic_cr8_read(const struct lapic *lapic) { return lapic->s.tpr >> 4; }
void lapic_cr8_write(struct lapic *lapic, uint64_t val) { lapic->s.tpr = (uint32_t)val << 4; }

/* ---- CPUID ---- */

static const struct cpuid_regs zero;

/* A host that has every bit there is: what comes through is the allow list. */
static struct cpuid_regs rich_intel(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 0)
		return (struct cpuid_regs){ 0x1b, 0x756e6547, 0x6c65746e, 0x49656e69 };
	if (leaf == 0x80000000)
		return (struct cpuid_regs){ 0x80000008, 0, 0, 0 };
	if (leaf == 4 && subleaf >= 4)
		return zero;
	if (leaf == 0xd && subleaf == 2)
		return (struct cpuid_regs){ 256, 576, 0, 0 };
	return (struct cpuid_regs){ ~0U, ~0U, ~0U, ~0U };
}

static struct cpuid_regs rich_amd(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 0)
		return (struct cpuid_regs){ 0x10, 0x68747541, 0x444d4163, 0x69746e65 };
	if (leaf == 0x80000000)
		return (struct cpuid_regs){ 0x8000001f, 0x68747541, 0x444d4163, 0x69746e65 };
	return rich_intel(leaf, subleaf);
}

/* One that has next to nothing. */
static struct cpuid_regs poor(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	if (leaf == 0)
		return (struct cpuid_regs){ 4, 0x756e6547, 0x6c65746e, 0x49656e69 };
	return leaf == 0x80000000 ? (struct cpuid_regs){ 0x80000001, 0, 0, 0 } : zero;
}

static void build(cpuid_host_fn *host, uint64_t xcr0, uint32_t vcpus, bool can)
{
	const struct cpuid_facts facts = {
		.tsc_hz = HZ, .lapic_hz = 10000000, .xcr0_mask = xcr0, .can_compact = true,
		.can_cmpxchg16b = true, .vcpu_count = vcpus,
		.can_rdtscp = can, .can_invpcid = can, .can_xsaves = can, .can_end_by_word = can,
	};

	cpuid_build(&table, &facts, host);
}

static struct cpuid_regs ask(uint32_t leaf, uint32_t subleaf) { return cpuid_lookup(&table, leaf, subleaf); }

static void test_cpuid_hides(void **unused)
{
	static const struct { uint32_t leaf; char reg; unsigned bit; } hidden[] = {
		{ 1, 'c', 5 }, { 1, 'c', 3 }, { 1, 'c', 6 }, { 1, 'c', 2 }, { 1, 'c', 15 }, { 1, 'd', 21 }, { 1, 'd', 22 },
		{ 7, 'b', 2 }, { 7, 'b', 4 }, { 7, 'b', 11 }, { 7, 'b', 14 }, { 7, 'b', 25 },
		{ 7, 'c', 3 }, { 7, 'c', 7 }, { 7, 'c', 16 },
		{ 7, 'd', 20 }, { 7, 'd', 26 }, { 7, 'd', 27 }, { 7, 'd', 31 },
		{ 0x80000001, 'c', 2 }, { 0x80000001, 'c', 10 },
	};
	cpuid_host_fn *const hosts[] = { rich_intel, rich_amd };

	(void)unused;
	for (size_t h = 0; h < countof(hosts); h++) {
		build(hosts[h], 7, 1, true);
		for (size_t i = 0; i < countof(hidden); i++) {
			const struct cpuid_regs regs = ask(hidden[i].leaf, 0);
			uint32_t word = hidden[i].reg == 'b' ? regs.ebx : hidden[i].reg == 'c' ? regs.ecx : regs.edx;

			if (word >> hidden[i].bit & 1)
				fail_msg("host %zu: %x %c %u shows", h, hidden[i].leaf, hidden[i].reg, hidden[i].bit);
		}
		assert_int_equal(ask(0xa, 0).eax, 0);
		assert_int_equal(ask(0x8000000a, 0).ebx, 0);
		assert_int_equal(ask(0x40000000, 0).ebx, 0x70617254);
		assert_true(ask(1, 0).ecx >> 31);
		assert_true(table.count < CPUID_ENTRIES_MAX);
	}
}

static void test_cpuid_needs_the_host(void **unused)
{
	(void)unused;
	build(poor, 0, 1, false);
	assert_int_equal(ask(1, 0).ecx, 1U << 31 | 1U << 21 | 1U << 24);	/* only what is ours */
	assert_int_equal(ask(1, 0).edx, 1U << 9);
	assert_int_equal(ask(0x80000001, 0).edx, 0);
	assert_int_equal(ask(0xd, 0).eax, 0);
	assert_int_equal(ask(0x15, 0).ebx, HZ / 1000);	/* ours, even where the host stops before it */
	build(rich_intel, 0, 1, false);
	assert_int_equal(ask(1, 0).ecx >> 26 & 5, 0);	/* no XSAVE: no AVX */
	assert_int_equal(ask(7, 0).ebx >> 5 & 1, 0);
	assert_int_equal(ask(7, 0).ebx >> 10 & 1, 0);	/* INVPCID */
	assert_int_equal(ask(0x80000001, 0).edx >> 27 & 1, 0);	/* RDTSCP */
	build(rich_intel, 3, 1, true);
	assert_int_equal(ask(7, 0).ebx >> 16 & 1, 0);	/* AVX-512 needs its part of XCR0 */
	assert_int_equal(ask(0xd, 0).eax, 3);
	assert_int_equal(ask(0xd, 0).ecx, 576);
	build(rich_intel, 7, 1, true);
	assert_int_equal(ask(0xd, 0).ecx, 832);
	assert_int_equal(ask(7, 0).ebx >> 5 & 1, 1);
}

static struct cpuid_regs told(uint32_t leaf, uint32_t subleaf)
{
	uint64_t *gpr = fake.vcpu.gpr;

	gpr[GPR_RAX] = leaf;
	gpr[GPR_RCX] = subleaf;
	assert_int_equal(exit_cpuid(&fake.vcpu), EXIT_SKIP);
	return (struct cpuid_regs){ (uint32_t)gpr[GPR_RAX], (uint32_t)gpr[GPR_RBX], (uint32_t)gpr[GPR_RCX],
				    (uint32_t)gpr[GPR_RDX] };
}

static void test_cpuid_of_a_vcpu(void **unused)
{
	struct vcpu *vcpu = &fake.vcpu;

	(void)unused;
	vcpu_fake_long(&fake);
	build(rich_intel, 7, 3, true);
	fake.vm.cpuid = &table;
	fake.vm.vcpu_count = 3;
	vcpu->id = 2;
	vcpu->xcr0 = 1;
	vcpu->lapic.s.base_msr = APIC_BASE_ENABLE;
	assert_int_equal(told(1, 0).ebx >> 24, 2);
	assert_int_equal(told(1, 0).ebx >> 16 & 0xff, 3);
	assert_int_equal(told(1, 0).ecx >> 27 & 1, 0);
	fake.regs[REG_CR4] |= CR4_OSXSAVE;
	assert_int_equal(told(1, 0).ecx >> 27 & 1, 1);
	assert_int_equal(told(0xb, 0).edx, 2);
	assert_int_equal(told(0xb, 7).edx, 2);
	assert_int_equal(told(0xb, 1).ebx, 3);
	assert_int_equal(told(0xd, 0).ebx, 576);
	vcpu->lapic.s.base_msr = 0;
	assert_int_equal(told(1, 0).edx >> 9 & 1, 0);
	/* The exit itself: 32-bit results, and only EAX and ECX are looked at. */
	vcpu->gpr[GPR_RAX] = 0xffffffff40000000ULL;
	vcpu->gpr[GPR_RCX] = vcpu->gpr[GPR_RDX] = vcpu->gpr[GPR_RBX] = ~0ULL;
	assert_int_equal(exit_cpuid(vcpu), EXIT_SKIP);
	assert_int_equal(vcpu->gpr[GPR_RBX], 0x70617254);
	assert_int_equal(vcpu->gpr[GPR_RAX] >> 32 | vcpu->gpr[GPR_RCX] >> 32 | vcpu->gpr[GPR_RDX] >> 32, 0);
	vcpu_fake_free(&fake);
}

/* ---- MSRs ---- */

static bool write_msr(uint32_t msr, uint64_t val)
{
	enum exit_result result;
	unsigned before = fake.injected;

	fake.vcpu.gpr[GPR_RCX] = 0xdead00000000ULL << 16 | msr;
	fake.vcpu.gpr[GPR_RAX] = lo32(val) | 0xbad00000000ULL;
	fake.vcpu.gpr[GPR_RDX] = hi32(val) | 0xbad00000000ULL;
	result = exit_wrmsr(&fake.vcpu);
	if (result == EXIT_SKIP)
		return true;
	assert_int_equal(result, EXIT_RESUME);	/* RIP stays on the instruction */
	assert_int_equal(fake.injected, before + 1);
	assert_int_equal(fake.vector, VEC_GP);
	assert_int_equal(fake.error, 0);
	return false;
}

static bool read_msr(uint32_t msr, uint64_t *val)
{
	const uint64_t untouched = 0x5a5a5a5a5a5a5a5aULL;

	fake.vcpu.gpr[GPR_RCX] = msr;
	fake.vcpu.gpr[GPR_RAX] = fake.vcpu.gpr[GPR_RDX] = untouched;
	if (exit_rdmsr(&fake.vcpu) == EXIT_SKIP) {
		assert_int_equal(hi32(fake.vcpu.gpr[GPR_RAX]) | hi32(fake.vcpu.gpr[GPR_RDX]), 0);
		*val = join32(fake.vcpu.gpr[GPR_RDX], fake.vcpu.gpr[GPR_RAX]);
		return true;
	}
	assert_int_equal(fake.vcpu.gpr[GPR_RAX], untouched);
	assert_int_equal(fake.vcpu.gpr[GPR_RDX], untouched);
	return false;
}

static const struct { uint32_t msr; uint64_t val; bool ok; } writes[] = {
	{ 0x12345, 0, false }, { 0xffffffff, 0, false }, { 0xc0002000, 0, false }, { 0x40000000, 0, false },
	{ MSR_EFER, 0xd01, true }, { MSR_EFER, 0xd03, false }, { MSR_EFER, 0x1d01, false }, { MSR_EFER, 0xc01, false },
	{ MSR_IA32_PAT, 0x0007040600070406, true }, { MSR_IA32_PAT, 2, false }, { MSR_IA32_PAT, 3ULL << 56, false },
	{ MSR_IA32_PAT, 0x80, false },
	{ MSR_IA32_MTRR_DEF_TYPE, 0xc06, true }, { MSR_IA32_MTRR_DEF_TYPE, 0xc02, false },
	{ MSR_IA32_MTRR_DEF_TYPE, 0x1c06, false },
	{ MSR_IA32_MTRR_PHYSBASE0, 0x80000006, true }, { MSR_IA32_MTRR_PHYSBASE0, 0x80000007, false },
	{ MSR_IA32_MTRR_PHYSBASE0, 1ULL << FAKE_PHYS_BITS, false },
	{ MSR_IA32_MTRR_PHYSBASE0 + 1, 0x80000800, true }, { MSR_IA32_MTRR_PHYSBASE0 + 1, 0x80000801, false },
	{ MSR_IA32_MTRR_PHYSBASE0 + 16, 0, false },
	{ MSR_IA32_MTRRCAP, 0, false }, { MSR_IA32_FEATURE_CONTROL, 5, false },
	{ MSR_IA32_DEBUGCTL, 2, true }, { MSR_IA32_DEBUGCTL, 1, false }, { MSR_IA32_DEBUGCTL, 0x40, false },
	{ MSR_IA32_XSS, 0, true }, { MSR_IA32_XSS, 0x100, false },
	{ MSR_IA32_APIC_BASE, 0xfee00900, true }, { MSR_IA32_APIC_BASE, 0xfee00901, false },
	{ MSR_IA32_APIC_BASE, 0xfffffff800, true }, { MSR_IA32_APIC_BASE, 0x10000000800, false },	/* 40 bits of address */
	{ 0x80b, 0, true }, { 0x80b, 1, false }, { 0x8ff, 0, false },
	{ 0x480, 0, false }, { 0xc0010117, 0, false }, { 0x48, 1, false }, { 0xc1, 0, false },
	{ MSR_AMD_HWCR, 0, false },			/* not on this host */
};

static void test_msr_writes(void **unused)
{
	(void)unused;
	vcpu_fake_long(&fake);
	fake.regs[REG_EFER] = 0xd00;
	msr_reset(&fake.vcpu);
	for (size_t i = 0; i < countof(writes); i++)
		if (write_msr(writes[i].msr, writes[i].val) != writes[i].ok)
			fail_msg("row %zu: MSR %x %lx", i, writes[i].msr, writes[i].val);
	assert_int_equal(fake.regs[REG_EFER], 0xd01);
	assert_int_equal(fake.regs[REG_PAT], 0x0007040600070406);
	assert_false(fake.is_killed);
	be_amd(true);
	assert_true(write_msr(MSR_AMD_HWCR, 0));
	be_amd(false);
	vcpu_fake_free(&fake);
}

static void test_msr_reads(void **unused)
{
	uint64_t val;

	(void)unused;
	vcpu_fake_long(&fake);
	msr_reset(&fake.vcpu);
	assert_false(read_msr(0x12345, &val));
	assert_true(read_msr(MSR_IA32_MTRR_DEF_TYPE, &val) && val == 0xc06);
	assert_true(read_msr(MSR_IA32_FEATURE_CONTROL, &val) && val == 1);
	assert_true(read_msr(MSR_IA32_BIOS_SIGN_ID, &val) && val != 0);
	assert_true(write_msr(MSR_IA32_TSC_ADJUST, 500));
	assert_int_equal(fake.vcpu.tsc_offset, 500);
	assert_int_equal(fake.tsc_offset, 570);	/* hardware's: plus that of the VM's clock */
	assert_true(write_msr(MSR_IA32_TSC_ADJUST, 300));	/* instead of the 500, not on top of them */
	assert_int_equal(fake.vcpu.tsc_offset, 300);
	assert_int_equal(settled_at, 500);	/* a deadline that has passed by the old one */
	assert_int_equal(moved_to, 300);
	assert_true(read_msr(MSR_IA32_TSC_ADJUST, &val) && val == 300);
	assert_true(write_msr(MSR_IA32_TSC, 7));
	assert_int_equal(vcpu_tsc(&fake.vcpu), 7);
	assert_true(read_msr(MSR_IA32_TSC_ADJUST, &val));
	assert_int_equal(val, fake.vcpu.tsc_offset);	/* both moved by the same */
	assert_true(write_msr(MSR_IA32_TSC_DEADLINE, 99));
	assert_true(read_msr(MSR_IA32_TSC_DEADLINE, &val) && val == 99);
	assert_true(read_msr(MSR_IA32_PAT, &val) && val == fake.regs[REG_PAT]);
	assert_true(read_msr(MSR_IA32_MISC_ENABLE, &val) && val == 0x1801);
	assert_true(write_msr(MSR_IA32_MISC_ENABLE, 0));
	assert_true(read_msr(MSR_IA32_MISC_ENABLE, &val) && val == 0x1800);
	assert_true(write_msr(MSR_KVM_STEAL_TIME, 0x1041));
	assert_false(write_msr(MSR_KVM_STEAL_TIME, 0x1043));		/* as the function for it says, above */
	assert_true(write_msr(MSR_KVM_PV_EOI_EN, 0x1041));
	assert_false(write_msr(MSR_KVM_PV_EOI_EN, 0x1043));
	assert_true(write_msr(MSR_IA32_BIOS_SIGN_ID, 0));
	assert_true(read_msr(MSR_IA32_BIOS_SIGN_ID, &val) && val == 1ULL << 32);
	vcpu_fake_free(&fake);
}

/* Registers of one vendor: what they read there, whether they take a write, and #GP on the other. */
static void test_msr_vendors(void **unused)
{
	static const struct { uint32_t msr; bool is_amd; uint64_t reads; bool can_write; } rows[] = {
		{ 0xce, false, 0x0000140000001400, false },	/* 2 GHz: 20 times 100 MHz */
		{ 0xc0010000, true, 0, true }, { 0xc0010003, true, 0, true }, { 0xc0010004, true, 0, true },
		{ 0xc0010007, true, 0, true }, { 0xc0010010, true, 0, true }, { 0xc0010015, true, 1U << 24, true },
		{ 0xc001001f, true, 0, true }, { 0xc0010114, true, 0x18, false }, { 0xc0011020, true, 0, true },
		{ 0xc0011029, true, 2, true },
	};
	uint64_t val;

	(void)unused;
	vcpu_fake_long(&fake);
	for (size_t i = 0; i < countof(rows); i++) {
		be_amd(rows[i].is_amd);
		if (!read_msr(rows[i].msr, &val) || val != rows[i].reads)
			fail_msg("MSR %x reads %llx", rows[i].msr, (unsigned long long)val);
		if (write_msr(rows[i].msr, 0x12345) != rows[i].can_write)
			fail_msg("WRMSR %x", rows[i].msr);
		assert_true(read_msr(rows[i].msr, &val) && val == rows[i].reads);
		be_amd(!rows[i].is_amd);
		if (read_msr(rows[i].msr, &val) || write_msr(rows[i].msr, 0))
			fail_msg("MSR %x on the other vendor", rows[i].msr);
	}
	be_amd(true);
	assert_false(read_msr(0xc0010008, &val));
	be_amd(false);
	vcpu_fake_free(&fake);
}

/* MSR_PLATFORM_INFO, SDM vol. 4: ratios in bits 15:8 and 47:40. A guest divides by them: never 0, also at 50 MHz. */
static void test_slow_machine(void **unused)
{
	uint64_t val;

	(void)unused;
	vcpu_fake_long(&fake);
	hz = 50000000;
	assert_true(read_msr(0xce, &val));
	assert_int_equal(val, 0x0000010000000100);
	hz = 2000000000;
	vcpu_fake_free(&fake);
}

static void test_rdpmc(void **unused)
{
	static const struct { bool is_amd; unsigned cpl; uint64_t cr4, index; bool works; } rows[] = {
		{ true, 0, 0, 0, true }, { true, 0, 0, 3, true }, { true, 0, 0, 4, false }, { true, 0, 0, 0x40000000, false },
		{ true, 3, 0, 0, false }, { true, 3, CR4_PCE, 0, true }, { true, 0, 0, 0xffffffff00000002, true },
		{ false, 0, CR4_PCE, 0, false }, { false, 0, 0, 0x40000000, false },
	};

	(void)unused;
	vcpu_fake_long(&fake);
	for (size_t i = 0; i < countof(rows); i++) {
		enum exit_result want = rows[i].works ? EXIT_SKIP : EXIT_RESUME;

		be_amd(rows[i].is_amd);
		fake.segs[SEG_SS].rights = (fake.segs[SEG_SS].rights & ~0x60U) | rows[i].cpl << 5;
		fake.regs[REG_CR4] = rows[i].cr4;
		fake.vcpu.gpr[GPR_RCX] = rows[i].index;
		fake.vcpu.gpr[GPR_RAX] = fake.vcpu.gpr[GPR_RDX] = ~0ULL;
		if (exit_rdpmc(&fake.vcpu) != want || (fake.vcpu.gpr[GPR_RAX] == 0) != rows[i].works ||
		    fake.vcpu.gpr[GPR_RDX] != fake.vcpu.gpr[GPR_RAX])
			fail_msg("row %zu", i);
	}
	be_amd(false);
	vcpu_fake_free(&fake);
}

/*
 * The guest's own RDMSR and WRMSR reach these alone: each is switched with the guest, by the control block or
 * by load and put. A row that passes another MSR through would show it the host's, or another guest's.
 */
static void test_msrs_passed_through(void **unused)
{
	static const uint32_t switched[] = {
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK,
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_TSC_AUX,
	};
	size_t count, passed = 0;
	const struct msr_policy *rows = msr_policy_table(&count);

	(void)unused;
	for (size_t i = 0; i < count; i++) {
		bool is_switched = false;

		for (size_t k = 0; k < countof(switched); k++)
			is_switched |= rows[i].msr == switched[k];
		assert_int_equal(rows[i].read == MSR_PASS, is_switched);
		assert_int_equal(rows[i].write == MSR_PASS, is_switched);
		passed += is_switched;
	}
	assert_int_equal(passed, countof(switched));
}

/* The whole table: sorted, no overlaps, functions where they are needed. Every number can be asked for. */
static void test_msr_table(void **unused)
{
	size_t count;
	const struct msr_policy *rows = msr_policy_table(&count);

	(void)unused;
	assert_int_equal(rows[0].vendor, MSR_ANY);	/* the guess of a vCPU that has asked for nothing yet */
	for (size_t i = 0; i < count; i++) {
		uint32_t last = rows[i].last ? rows[i].last : rows[i].msr;

		assert_true(last >= rows[i].msr);
		assert_true(i + 1 == count || rows[i + 1].msr > last);
		assert_true(rows[i].read != MSR_EMULATE || rows[i].source != MSR_FUNCTION || rows[i].read_fn);
		assert_true(rows[i].read == MSR_EMULATE || !rows[i].value);
		assert_true(rows[i].write == MSR_EMULATE || !rows[i].write_fn);
		assert_true(rows[i].source != MSR_FIELD || rows[i].value % 8 == 0);
		assert_true(!rows[i].last || rows[i].read == MSR_EMULATE);
	}
	vcpu_fake_long(&fake);
	for (uint32_t msr = 0; msr < 0x2000; msr++) {
		uint64_t val;

		(void)read_msr(msr, &val);
		(void)read_msr(0xc0000000 + msr, &val);
		(void)read_msr(0xc0010000 + msr, &val);
		(void)write_msr(msr, ~0ULL);
		(void)write_msr(0xc0000000 + msr, NON_CANONICAL);
	}
	assert_false(fake.is_killed);
	vcpu_fake_free(&fake);
}

/* ---- Control registers ---- */

static bool mov_to(uint8_t cr, uint64_t val)
{
	const struct cr_access access = { .op = CR_MOV_TO, .cr = cr, .gpr = GPR_R9 };
	enum exit_result result;

	fake.vcpu.gpr[GPR_R9] = val;
	result = exit_cr(&fake.vcpu, &access);
	assert_true(result == EXIT_SKIP || (result == EXIT_RESUME && fake.vector == VEC_GP));
	return result == EXIT_SKIP;
}

static const struct { uint8_t cr; uint64_t val; bool ok; } cr_writes[] = {
	{ 0, 0x80050033, true }, { 0, 0x80000031, true }, { 0, 0x180000031, false }, { 0, 0x80000030, false },
	{ 0, 0xa0000031, false },	/* NW without CD */
	{ 0, 0xc0000031, true }, { 0, 0x00000031, false },	/* PG off in 64-bit code */
	{ 4, 0x20, true }, { 4, 0x0, false }, { 4, 0x2020, false }, { 4, 0x4020, false }, { 4, 0x1020, false },
	{ 4, 0x8020, false }, { 4, 1ULL << 40 | 0x20, false }, { 4, 0x80000020, false }, { 4, 0x406f0, true },
	{ 4, 0x20020, true },		/* PCIDE with CR3[11:0] 0 */
	{ 8, 15, true }, { 8, 16, false }, { 8, ~0ULL, false }, { 8, 0, true },
	{ 1, 0, false }, { 5, 0, false },
};

static void test_cr_reads(void **unused)
{
	static const struct { uint8_t cr; uint64_t want; } rows[] = { { 0, 0x80010031 }, { 3, 0x5000 }, { 4, 0x20 }, { 8, 9 } };

	(void)unused;
	vcpu_fake_long(&fake);
	fake.regs[REG_CR0] = 0x80010031;
	fake.regs[REG_CR3] = 0x5000;
	fake.regs[REG_CR4] = 0x20;
	fake.vcpu.lapic.s.tpr = 0x90;
	for (size_t i = 0; row_of(rows, i); i++) {
		assert_int_equal(exit_cr(&fake.vcpu, &(struct cr_access){ .op = CR_MOV_FROM, .cr = rows[i].cr, .gpr = GPR_R9 }), EXIT_SKIP);
		assert_int_equal(fake.vcpu.gpr[GPR_R9], rows[i].want);
	}
	vcpu_fake_free(&fake);
}

static void test_cr_writes(void **unused)
{
	(void)unused;
	vcpu_fake_long(&fake);
	build(rich_intel, 7, 1, true);
	fake.vm.cpuid = &table;
	for (size_t i = 0; i < countof(cr_writes); i++)
		if (mov_to(cr_writes[i].cr, cr_writes[i].val) != cr_writes[i].ok)
			fail_msg("row %zu: CR%u %lx", i, cr_writes[i].cr, cr_writes[i].val);
	assert_true(mov_to(3, 1ULL << 63 | 0x5000));
	assert_int_equal(fake.regs[REG_CR3], 0x5000);
	assert_true(mov_to(3, 0x5003));
	fake.regs[REG_CR4] = CR4_PAE;
	assert_false(mov_to(4, 0x20020));	/* PCIDE with bits in CR3[11:0] */
	vcpu_fake_free(&fake);
}

static void test_mode_switches(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	build(rich_intel, 7, 1, true);
	fake.vm.cpuid = &table;
	fake.regs[REG_EFER] = EFER_LME;
	assert_false(mov_to(0, 0x80000011));	/* long mode without PAE */
	assert_true(mov_to(4, CR4_PAE));
	assert_true(mov_to(0, 0x80000011));
	assert_int_equal(fake.regs[REG_EFER], EFER_LME | EFER_LMA);
	assert_false(write_msr(MSR_EFER, 0));	/* LME is fixed while paging */
	assert_true(mov_to(0, 0x11));
	assert_int_equal(fake.regs[REG_EFER], EFER_LME);
	assert_true(write_msr(MSR_EFER, 0));
	vcpu_fake_free(&fake);
}

/* PAE paging: SDM vol. 3, 4.4.1 "PDPTE Registers"; what is refused leaves everything as it was. */
static void test_pae_pointers(void **unused)
{
	const uint64_t good = 0x4000, bad = 0x5000;

	(void)unused;
	vcpu_fake_protected(&fake);
	build(rich_intel, 7, 1, true);
	fake.vm.cpuid = &table;
	vcpu_fake_set_word(&fake, bad + 24, 5);
	vcpu_fake_set_word(&fake, good + 24, 4);	/* not present */
	fake.regs[REG_CR4] = CR4_PAE;
	fake.regs[REG_CR3] = bad;
	assert_false(mov_to(0, 0x80000011));
	assert_int_equal(fake.regs[REG_CR0], CR0_PE);
	fake.regs[REG_EFER] = EFER_LME;			/* four levels: they are tables like others */
	assert_true(mov_to(0, 0x80000011));
	fake.regs[REG_EFER] = 0;
	fake.regs[REG_CR0] = CR0_PE;
	assert_true(mov_to(3, bad));			/* without paging a CR3 is a number */
	assert_true(mov_to(3, good));
	assert_true(mov_to(0, 0x80000011));
	assert_false(mov_to(3, bad));
	assert_int_equal(fake.regs[REG_CR3], good);
	fake.regs[REG_CR3] = bad;
	assert_false(mov_to(4, CR4_PAE | CR4_PGE));
	assert_int_equal(fake.regs[REG_CR4], CR4_PAE);
	fake.cr3_loads = 0;
	assert_true(mov_to(4, CR4_PAE | CR4_TSD));	/* reads none of them */
	assert_true(mov_to(0, 0x80000019));		/* nor does TS */
	assert_int_equal(fake.cr3_loads, 0);
	assert_false(mov_to(0, 0xc0000011));
	assert_true(mov_to(0, 0x80000031));
	assert_true(mov_to(0, 0x31));
	fake.regs[REG_CR0] = 0x80000011;
	fake.regs[REG_CR3] = good;
	fake.cr3_loads = 0;
	assert_true(mov_to(0, 0xc0000011));		/* CD, PGE and PG each load them */
	assert_true(mov_to(4, CR4_PAE | CR4_TSD | CR4_PGE));
	assert_true(mov_to(0, 0x40000011));
	assert_int_equal(fake.cr3_loads, 3);
	vcpu_fake_free(&fake);
}

/* Long mode does not begin with a 16-bit TSS in TR: SDM vol. 3, 10.8.5. */
static void test_long_mode_tss(void **unused)
{
	(void)unused;
	vcpu_fake_protected(&fake);
	build(rich_intel, 7, 1, true);
	fake.vm.cpuid = &table;
	fake.regs[REG_EFER] = EFER_LME;
	fake.regs[REG_CR4] = CR4_PAE;
	fake.segs[SEG_TR] = (struct segment){ .selector = 0x30, .limit = 43, .rights = SEG_P | 3 };
	assert_false(mov_to(0, 0x80000011));
	assert_int_equal(fake.regs[REG_EFER], EFER_LME);
	assert_int_equal(fake.regs[REG_CR0], CR0_PE);
	fake.segs[SEG_TR].rights = SEG_P | 0xb;
	assert_true(mov_to(0, 0x80000011));
	vcpu_fake_free(&fake);
	/* AMD's do not look. */
	vcpu_fake_protected(&fake);
	build(rich_amd, 7, 1, true);
	be_amd(true);
	fake.vm.cpuid = &table;
	fake.regs[REG_EFER] = EFER_LME;
	fake.regs[REG_CR4] = CR4_PAE;
	fake.segs[SEG_TR] = (struct segment){ .selector = 0x30, .limit = 43, .rights = SEG_P | 3 };
	assert_true(mov_to(0, 0x80000011));
	be_amd(false);
	vcpu_fake_free(&fake);
}

static void test_lmsw_and_clts(void **unused)
{
	const struct cr_access clear = { .op = CR_LMSW, .lmsw = 0 }, set = { .op = CR_LMSW, .lmsw = 0xffff };
	const struct cr_access clts = { .op = CR_CLTS };

	(void)unused;
	vcpu_fake_init(&fake);
	build(rich_intel, 7, 1, true);
	fake.vm.cpuid = &table;
	assert_int_equal(exit_cr(&fake.vcpu, &set), EXIT_SKIP);
	assert_int_equal(fake.regs[REG_CR0] & 0xffff, CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET);
	assert_int_equal(exit_cr(&fake.vcpu, &clts), EXIT_SKIP);
	assert_int_equal(fake.regs[REG_CR0] & CR0_TS, 0);
	assert_int_equal(exit_cr(&fake.vcpu, &clear), EXIT_SKIP);
	assert_int_equal(fake.regs[REG_CR0] & 0xf, CR0_PE);
	vcpu_fake_free(&fake);
}

/* ---- XCR0 ---- */

static void test_xcr0(void **unused)
{
	static const struct { uint64_t val, mask; bool ok; } rows[] = {
		{ 1, 7, true }, { 3, 7, true }, { 7, 7, true }, { 0, 7, false }, { 2, 7, false }, { 5, 7, false },
		{ 7, 3, false }, { 0xe7, 0xe7, true }, { 0x67, 0xe7, false }, { 0xe3, 0xe7, false },
		{ 1ULL << 63 | 1, 7, false }, { 9, 7, false },
	};

	(void)unused;
	for (size_t i = 0; i < countof(rows); i++)
		if (xcr0_is_valid(rows[i].val, rows[i].mask) != rows[i].ok)
			fail_msg("row %zu", i);
}

/* Invalid while CR4.OSXSAVE is clear, in any ring; then the privilege, the register and the value. */
static void test_xsetbv(void **unused)
{
	static const struct { uint64_t cr4, dpl, rcx, rax; uint8_t vector; } rows[] = {
		{ 0, 0, 0, 7, VEC_UD }, { 0, 3, 5, 0, VEC_UD }, { CR4_OSXSAVE, 3, 0, 7, VEC_GP },
		{ CR4_OSXSAVE, 0, 1, 7, VEC_GP }, { CR4_OSXSAVE, 0, 0, 0, VEC_GP },
	};

	(void)unused;
	vcpu_fake_long(&fake);
	for (size_t i = 0; row_of(rows, i); i++) {
		fake.regs[REG_CR4] = rows[i].cr4;
		fake.segs[SEG_SS].rights &= ~(uint32_t)SEG_DPL_MASK;
		fake.segs[SEG_SS].rights |= (uint32_t)rows[i].dpl << SEG_DPL_SHIFT;
		fake.vcpu.gpr[GPR_RCX] = rows[i].rcx;
		fake.vcpu.gpr[GPR_RAX] = rows[i].rax;
		fake.vcpu.gpr[GPR_RDX] = 0;
		fake.vcpu.xcr0 = 1;
		assert_int_equal(exit_xsetbv(&fake.vcpu), EXIT_RESUME);
		assert_int_equal(fake.injected, i + 1);
		assert_int_equal(fake.vector, rows[i].vector);
		assert_int_equal(fake.vcpu.xcr0, 1);
	}
	vcpu_fake_free(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpuid_hides),
		cmocka_unit_test(test_cpuid_needs_the_host),
		cmocka_unit_test(test_cpuid_of_a_vcpu),
		cmocka_unit_test(test_msr_writes),
		cmocka_unit_test(test_msr_reads),
		cmocka_unit_test(test_msr_vendors), cmocka_unit_test(test_slow_machine), cmocka_unit_test(test_rdpmc), cmocka_unit_test(test_msr_table),
		cmocka_unit_test(test_msrs_passed_through),
		cmocka_unit_test(test_cr_reads), cmocka_unit_test(test_cr_writes),
		cmocka_unit_test(test_mode_switches),
		cmocka_unit_test(test_pae_pointers), cmocka_unit_test(test_long_mode_tss),
		cmocka_unit_test(test_lmsw_and_clts),
		cmocka_unit_test(test_xcr0), cmocka_unit_test(test_xsetbv),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
