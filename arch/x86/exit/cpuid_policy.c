/* SPDX-License-Identifier: MIT */
/*
 * What CPUID says to a guest (contract in cpuid_policy.h): its host's vendor, family and brand; features from the allow
 * list that the host has and we virtualize; one package of vcpu_count cores with one thread each; our signature at
 * 0x4000_0000, and of KVM's features what is here at 0x4000_0100 (pv/kvm.h). Everything else reads zero, but that on
 * Intel's processors a leaf above the last basic one reads as that one.
 *
 * Why an allow list: a feature that we do not know may have state that we do not switch between guests.
 * Hidden on purpose: VMX and SVM (no nesting), MONITOR (MWAIT exits and is #UD), PMU, thermal, RTM, MPX,
 * SGX, PT, CET, PKU (its register is not in our XCR0 mask), speculation-control MSRs, LA57, and PCID on hosts
 * without INVPCID; CMPXCHG16B where it is broken (virt/quirks.h). TSC_ADJUST is shown on every host, because it is emulated.
 */
#include "arch/x86/exit/cpuid_policy.h"

#include "arch/x86/exit/cpuid.h"
#include "arch/x86/pv/kvm.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/xsave.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"

#define ALLOW1_C (CPUID1_C_SSE3 | CPUID1_C_PCLMULQDQ | CPUID1_C_SSSE3 | CPUID1_C_FMA | CPUID1_C_CX16 |		\
		  CPUID1_C_PCID | CPUID1_C_SSE41 | CPUID1_C_SSE42 | CPUID1_C_MOVBE | CPUID1_C_POPCNT |		\
		  CPUID1_C_AES | CPUID1_C_XSAVE | CPUID1_C_AVX | CPUID1_C_F16C | CPUID1_C_RDRAND)
#define FORCE1_C (CPUID1_C_HYPERVISOR | CPUID1_C_X2APIC | CPUID1_C_TSC_DEADLINE)	/* ours, not the host's */
#define ALLOW1_D (CPUID1_D_FPU | CPUID1_D_VME | CPUID1_D_DE | CPUID1_D_PSE | CPUID1_D_TSC | CPUID1_D_MSR |	\
		  CPUID1_D_PAE | CPUID1_D_MCE | CPUID1_D_CX8 | CPUID1_D_APIC | CPUID1_D_SEP | CPUID1_D_MTRR |	\
		  CPUID1_D_PGE | CPUID1_D_MCA | CPUID1_D_CMOV | CPUID1_D_PAT | CPUID1_D_PSE36 | CPUID1_D_CLFSH | \
		  CPUID1_D_MMX | CPUID1_D_FXSR | CPUID1_D_SSE | CPUID1_D_SSE2)
#define AVX512_B (CPUID7_B_AVX512F | CPUID7_B_AVX512DQ | CPUID7_B_AVX512IFMA | CPUID7_B_AVX512CD |		\
		  CPUID7_B_AVX512BW | CPUID7_B_AVX512VL)
#define AVX512_C (CPUID7_C_AVX512VBMI | CPUID7_C_VBMI2 | CPUID7_C_VNNI | CPUID7_C_BITALG | CPUID7_C_VPOPCNTDQ)
#define ALLOW7_B (CPUID7_B_FSGSBASE | CPUID7_B_BMI1 | CPUID7_B_AVX2 | CPUID7_B_SMEP | CPUID7_B_BMI2 |		\
		  CPUID7_B_ERMS | CPUID7_B_INVPCID | CPUID7_B_RDSEED | CPUID7_B_ADX | CPUID7_B_SMAP |		\
		  CPUID7_B_CLFLUSHOPT | CPUID7_B_CLWB | CPUID7_B_SHA | AVX512_B)
#define FORCE7_B CPUID7_B_TSC_ADJUST
#define ALLOW7_C (CPUID7_C_UMIP | CPUID7_C_GFNI | CPUID7_C_VAES | CPUID7_C_VPCLMULQDQ | CPUID7_C_RDPID | AVX512_C)
/*
 * Not offered: AltMovCr8, LOCK MOV CR0 for CR8 (APM vol. 3, "MOV CRn"). The instruction decoder knows no MOV CR0 with
 * LOCK, and decodes what a processor without decode assists leaves to us.
 */
#define ALLOWE1_C (CPUIDE1_C_LAHF | CPUIDE1_C_ABM | CPUIDE1_C_SSE4A | CPUIDE1_C_MISALIGN | CPUIDE1_C_PREFETCHW)
/* The low half of AMD's EDX repeats leaf 1 (APM vol. 3, E.4.2), hence its bits again. */
#define ALLOWE1_D (CPUIDE1_D_SYSCALL | CPUIDE1_D_NX | CPUIDE1_D_1G | CPUIDE1_D_RDTSCP | CPUIDE1_D_LM | BIT(22) |	\
		   BIT(25) | (ALLOW1_D & ~CPUID1_D_SEP & ~BIT(19)))
#define SIGNATURE_B	0x70617254U	/* "Trap" */
#define SIGNATURE_C	0x48657a65U	/* "ezeH" */
#define SIGNATURE_D	0x72657079U	/* "yper" */

#define ALL_BITS { ~0U, ~0U, ~0U, ~0U }

/* Which leaves are the host's, cut to which bits. Leaves that need more thought are in the adders below. */
struct cpuid_rule { uint32_t leaf, subleaf; bool has_subleaf; struct cpuid_regs allow, force; };

static const struct cpuid_rule rules[] = {
	{ CPUID_FEATURES, 0, false, { ~0U, 0x0000ffffU, (uint32_t)ALLOW1_C, (uint32_t)ALLOW1_D },
	  { 0, 0, (uint32_t)FORCE1_C, (uint32_t)CPUID1_D_APIC } },
	{ CPUID_CACHE, 0, false, ALL_BITS, { 0 } },
	{ CPUID_EXT_FEATURES, 0, true, { 0, (uint32_t)ALLOW7_B, (uint32_t)ALLOW7_C, 0 },
	  { 0, (uint32_t)FORCE7_B, 0, 0 } },
	{ CPUID_EXT_INFO, 0, false, { ~0U, ~0U, (uint32_t)ALLOWE1_C, (uint32_t)ALLOWE1_D }, { 0 } },
	{ CPUID_BRAND_FIRST, 0, false, ALL_BITS, { 0 } },
	{ CPUID_BRAND_FIRST + 1, 0, false, ALL_BITS, { 0 } },
	{ CPUID_BRAND_LAST, 0, false, ALL_BITS, { 0 } },
	{ CPUID_L1, 0, false, ALL_BITS, { 0 } },
	{ CPUID_L2, 0, false, ALL_BITS, { 0 } },
	/* The guest's TSC never stops and never changes rate: it is offset, not scaled. */
	{ CPUID_APM, 0, false, { 0, 0, 0, 0 }, { 0, 0, 0, (uint32_t)CPUID_APM_D_INVARIANT_TSC } },
	{ CPUID_ADDR, 0, false, { 0x0000ffffU, 0, 0, 0 }, { 0 } },
};

static struct cpuid_regs regs_and(struct cpuid_regs a, struct cpuid_regs b)
{
	return (struct cpuid_regs){ a.eax & b.eax, a.ebx & b.ebx, a.ecx & b.ecx, a.edx & b.edx };
}

static struct cpuid_regs regs_or(struct cpuid_regs a, struct cpuid_regs b)
{
	return (struct cpuid_regs){ a.eax | b.eax, a.ebx | b.ebx, a.ecx | b.ecx, a.edx | b.edx };
}

static struct cpuid_regs *add(struct cpuid_table *table, uint32_t leaf, uint32_t subleaf, bool has_subleaf,
			      struct cpuid_regs regs)
{
	struct cpuid_entry *entry = &table->entries[table->count];
	uint32_t low = leaf & ~CPUID_EXT_BASE;
	uint8_t *index = leaf & CPUID_EXT_BASE ? table->ext : table->basic;

	if (table->count == CPUID_ENTRIES_MAX)
		return &entry[-1].regs;		/* the unit test proves that this does not happen */
	*entry = (struct cpuid_entry){ leaf, subleaf, has_subleaf, cpuid_is_dynamic(leaf), regs };
	table->count++;
	if (low < CPUID_INDEX_MAX && !index[low])
		index[low] = (uint8_t)table->count;
	return &entry->regs;
}

static void add_rules(struct cpuid_table *table, cpuid_host_fn *host)
{
	for (size_t i = 0; i < countof(rules); i++) {
		const struct cpuid_rule *rule = &rules[i];
		uint32_t max = rule->leaf & CPUID_EXT_BASE ? table->max_ext : table->max_basic;

		if (rule->leaf <= max)
			add(table, rule->leaf, rule->subleaf, rule->has_subleaf,
			    regs_or(regs_and(host(rule->leaf, rule->subleaf), rule->allow), rule->force));
	}
}

/* Hide features that the back end cannot enable: an instruction that CPUID offers would be #UD in the guest. */
static void hide_unsupported(struct cpuid_table *table, const struct cpuid_facts *facts)
{
	for (uint32_t i = 0; i < table->count; i++) {
		struct cpuid_entry *entry = &table->entries[i];

		if (entry->leaf == CPUID_FEATURES && !facts->xcr0_mask)
			entry->regs.ecx &= (uint32_t)~(CPUID1_C_XSAVE | CPUID1_C_AVX | CPUID1_C_FMA | CPUID1_C_F16C);
		if (entry->leaf == CPUID_FEATURES && !facts->can_cmpxchg16b)
			entry->regs.ecx &= (uint32_t)~CPUID1_C_CX16;
		if (entry->leaf == CPUID_FEATURES && !facts->can_invpcid)
			entry->regs.ecx &= (uint32_t)~CPUID1_C_PCID;
		if (entry->leaf == CPUID_EXT_FEATURES && !facts->can_invpcid)
			entry->regs.ebx &= (uint32_t)~CPUID7_B_INVPCID;
		if (entry->leaf == CPUID_EXT_FEATURES && !facts->can_rdtscp)
			entry->regs.ecx &= (uint32_t)~CPUID7_C_RDPID;
		if (entry->leaf == CPUID_EXT_FEATURES && !(facts->xcr0_mask & XCR0_AVX))
			entry->regs.ebx &= (uint32_t)~CPUID7_B_AVX2;
		if (entry->leaf == CPUID_EXT_FEATURES && (facts->xcr0_mask & XCR0_AVX512) != XCR0_AVX512) {
			entry->regs.ebx &= (uint32_t)~AVX512_B;
			entry->regs.ecx &= (uint32_t)~AVX512_C;
		}
		if (entry->leaf == CPUID_EXT_INFO && !facts->can_rdtscp)
			entry->regs.edx &= (uint32_t)~CPUIDE1_D_RDTSCP;
	}
}

/* Bits of an APIC ID that number the cores of the one package. */
static uint32_t core_bits(const struct cpuid_facts *facts)
{
	uint32_t bits = 0;

	while ((1U << bits) < facts->vcpu_count)
		bits++;
	return bits;
}

/*
 * Deterministic cache parameters. No core shares a cache with another (EAX[25:14] is 0); EAX[31:26] says how many core
 * numbers the package has, less one, as the topology leaf does (SDM vol. 2, CPUID, leaf 04H).
 */
static void add_caches(struct cpuid_table *table, const struct cpuid_facts *facts, cpuid_host_fn *host)
{
	enum { SUBLEAVES_MAX = 8, CORES_SHIFT = 26 };
	const uint32_t own = 0x000003ffU;	/* type, level, flags */

	for (uint32_t sub = 0; table->max_basic >= CPUID_CACHE_PARAMS && sub < SUBLEAVES_MAX; sub++) {
		struct cpuid_regs regs = host(CPUID_CACHE_PARAMS, sub);

		regs.eax &= own;
		if (regs.eax)
			regs.eax |= ((1U << core_bits(facts)) - 1) << CORES_SHIFT;
		add(table, CPUID_CACHE_PARAMS, sub, true, regs);
		if (!regs.eax)
			break;
	}
}

static void add_xsave(struct cpuid_table *table, const struct cpuid_facts *facts, cpuid_host_fn *host)
{
	uint32_t size = XSAVE_LEGACY;
	struct cpuid_regs *main, one;

	if (!facts->xcr0_mask || table->max_basic < CPUID_XSAVE)
		return;
	main = add(table, CPUID_XSAVE, 0, true, (struct cpuid_regs){ 0 });
	one = host(CPUID_XSAVE, 1);
	one.eax &= (uint32_t)(CPUIDD1_XSAVEOPT | CPUIDD1_XSAVEC | CPUIDD1_XGETBV1 | CPUIDD1_XSAVES);
	if (!facts->can_xsaves)
		one.eax &= (uint32_t)~CPUIDD1_XSAVES;
	if (!facts->can_compact)
		one.eax &= (uint32_t)~(CPUIDD1_XSAVEC | CPUIDD1_XSAVES);
	add(table, CPUID_XSAVE, 1, true, (struct cpuid_regs){ one.eax, 0, 0, 0 });
	for (uint32_t sub = 2; sub < XSAVE_COMPONENTS; sub++) {
		struct cpuid_regs regs;

		if (!(facts->xcr0_mask & BIT(sub)))
			continue;
		regs = host(CPUID_XSAVE, sub);
		add(table, CPUID_XSAVE, sub, true, (struct cpuid_regs){ regs.eax, regs.ebx, regs.ecx & 2U, 0 });
		size = size > regs.ebx + regs.eax ? size : regs.ebx + regs.eax;
	}
	*main = (struct cpuid_regs){ (uint32_t)facts->xcr0_mask, size, size, (uint32_t)hi32(facts->xcr0_mask) };
}

/* One thread to a core, vcpu_count cores: SDM vol. 3, 9.9.1 "Hierarchical Mapping of Shared Resources". */
static void add_topology(struct cpuid_table *table, const struct cpuid_facts *facts, uint32_t leaf)
{
	enum { LEVEL_SMT = 1, LEVEL_CORE = 2, LEVEL_SHIFT = 8 };
	uint32_t bits = core_bits(facts);

	if (leaf > table->max_basic)
		return;
	add(table, leaf, 0, true, (struct cpuid_regs){ 0, 1, LEVEL_SMT << LEVEL_SHIFT, 0 });
	add(table, leaf, 1, true, (struct cpuid_regs){ bits, facts->vcpu_count, 1 | LEVEL_CORE << LEVEL_SHIFT, 0 });
}

/*
 * The TSC's rate as crystal * numerator / denominator, exact to the kHz, with the local APIC timer's clock
 * as the crystal. Never the host's own leaf: under emulation it lies.
 */
static void add_timing(struct cpuid_table *table, const struct cpuid_facts *facts, bool is_intel)
{
	uint32_t khz = (uint32_t)(facts->tsc_hz / 1000), lapic_khz = (uint32_t)(facts->lapic_hz / 1000);

	if (is_intel) {
		add(table, CPUID_TSC, 0, false,
		    (struct cpuid_regs){ lapic_khz, khz, (uint32_t)facts->lapic_hz, 0 });
		add(table, CPUID_FREQUENCY, 0, false,
		    (struct cpuid_regs){ khz / 1000, khz / 1000, lapic_khz / 1000, 0 });
	}
	add(table, CPUID_HV_BASE, 0, false,
	    (struct cpuid_regs){ CPUID_HV_TIMING, SIGNATURE_B, SIGNATURE_C, SIGNATURE_D });
	add(table, CPUID_HV_TIMING, 0, false, (struct cpuid_regs){ khz, lapic_khz, 0, 0 });
	add(table, CPUID_KVM_BASE, 0, false,
	    (struct cpuid_regs){ CPUID_KVM_FEATURES, KVM_SIGNATURE_B, KVM_SIGNATURE_C, KVM_SIGNATURE_D });
	add(table, CPUID_KVM_FEATURES, 0, false, (struct cpuid_regs){ KVM_FEATURES | (facts->can_end_by_word ? KVM_FEATURE_PV_EOI : 0), 0, 0, 0 });
}

void cpuid_build(struct cpuid_table *table, const struct cpuid_facts *facts, cpuid_host_fn *host)
{
	struct cpuid_regs basic = host(CPUID_BASIC, 0), ext = host(CPUID_EXT_BASE, 0);
	const uint32_t intel_ebx = 0x756e6547U;	/* "Genu" */
	bool is_intel = basic.ebx == intel_ebx;

	*table = (struct cpuid_table){ .repeats_last = is_intel };
	/* Leaf 0x15 is ours on Intel even when the host stops before it. */
	table->max_basic = is_intel ? CPUID_FREQUENCY : (uint32_t)min_u64(basic.eax, CPUID_XSAVE);
	table->max_ext = (uint32_t)min_u64(ext.eax, CPUID_ADDR);
	add(table, CPUID_BASIC, 0, false, (struct cpuid_regs){ table->max_basic, basic.ebx, basic.ecx, basic.edx });
	add(table, CPUID_EXT_BASE, 0, false,
	    (struct cpuid_regs){ table->max_ext, is_intel ? 0 : ext.ebx, is_intel ? 0 : ext.ecx,
				 is_intel ? 0 : ext.edx });
	add_rules(table, host);
	hide_unsupported(table, facts);
	if (is_intel)
		add_caches(table, facts, host);
	if (basic.eax >= CPUID_XSAVE)
		add_xsave(table, facts, host);
	add_topology(table, facts, CPUID_TOPOLOGY);
	add_timing(table, facts, is_intel);
}
