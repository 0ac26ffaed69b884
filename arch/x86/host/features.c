/* SPDX-License-Identifier: MIT */
/*
 * What the processor we run on can do: one table of CPUID bits fills struct cpu_features, compares another processor
 * with it, and names its features in the log. SDM vol. 2, CPUID; APM vol. 3, appendix E.
 */
#include "arch/x86/host/features.h"

#include <stddef.h>

#include "arch/x86/host/speculation.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/timer.h"

struct cpu_features cpu_features;

enum cpuid_reg { EAX, EBX, ECX, EDX };

struct feature_row {
	size_t         flag;		/* offset of a bool in struct cpu_features */
	const char    *name;
	uint32_t       leaf, subleaf;
	enum cpuid_reg reg;
	uint64_t       bit;
};

#define FEATURE(flag, name, ...) { offsetof(struct cpu_features, flag), name, __VA_ARGS__ }

static const struct feature_row features[] = {
	FEATURE(has_vmx, "vmx", CPUID_FEATURES, 0, ECX, CPUID1_C_VMX),
	FEATURE(has_pcid, "pcid", CPUID_FEATURES, 0, ECX, CPUID1_C_PCID),
	FEATURE(has_x2apic, "x2apic", CPUID_FEATURES, 0, ECX, CPUID1_C_X2APIC),
	FEATURE(has_tsc_deadline, "tsc-deadline", CPUID_FEATURES, 0, ECX, CPUID1_C_TSC_DEADLINE),
	FEATURE(has_xsave, "xsave", CPUID_FEATURES, 0, ECX, CPUID1_C_XSAVE),
	FEATURE(has_avx, "avx", CPUID_FEATURES, 0, ECX, CPUID1_C_AVX),
	FEATURE(has_rdrand, "rdrand", CPUID_FEATURES, 0, ECX, CPUID1_C_RDRAND),
	FEATURE(has_hypervisor, "hypervisor", CPUID_FEATURES, 0, ECX, CPUID1_C_HYPERVISOR),
	FEATURE(has_fsgsbase, "fsgsbase", CPUID_EXT_FEATURES, 0, EBX, CPUID7_B_FSGSBASE),
	FEATURE(has_smep, "smep", CPUID_EXT_FEATURES, 0, EBX, CPUID7_B_SMEP),
	FEATURE(has_invpcid, "invpcid", CPUID_EXT_FEATURES, 0, EBX, CPUID7_B_INVPCID),
	FEATURE(has_avx512, "avx512", CPUID_EXT_FEATURES, 0, EBX, CPUID7_B_AVX512F),
	FEATURE(has_rdseed, "rdseed", CPUID_EXT_FEATURES, 0, EBX, CPUID7_B_RDSEED),
	FEATURE(has_smap, "smap", CPUID_EXT_FEATURES, 0, EBX, CPUID7_B_SMAP),
	FEATURE(has_umip, "umip", CPUID_EXT_FEATURES, 0, ECX, CPUID7_C_UMIP),
	FEATURE(has_pku, "pku", CPUID_EXT_FEATURES, 0, ECX, CPUID7_C_PKU),
	FEATURE(has_xsaves, "xsaves", CPUID_XSAVE, 1, EAX, CPUIDD1_XSAVES),
	FEATURE(has_hybrid, "hybrid", CPUID_EXT_FEATURES, 0, EDX, CPUID7_D_HYBRID),
	FEATURE(has_arch_capabilities, "arch-capabilities", CPUID_EXT_FEATURES, 0, EDX, CPUID7_D_ARCH_CAPABILITIES),
	FEATURE(has_spec_ctrl, "spec-ctrl", CPUID_EXT_FEATURES, 0, EDX, CPUID7_D_SPEC_CTRL),
	FEATURE(has_l1d_flush, "l1d-flush", CPUID_EXT_FEATURES, 0, EDX, CPUID7_D_L1D_FLUSH),
	FEATURE(has_md_clear, "md-clear", CPUID_EXT_FEATURES, 0, EDX, CPUID7_D_MD_CLEAR),
	FEATURE(has_ibpb, "ibpb", CPUID_ADDR, 0, EBX, CPUIDE8_B_IBPB),
	FEATURE(has_ibrs, "ibrs", CPUID_ADDR, 0, EBX, CPUIDE8_B_IBRS),
	FEATURE(has_ibrs_always, "ibrs-always", CPUID_ADDR, 0, EBX, CPUIDE8_B_IBRS_ALWAYS),
	FEATURE(has_auto_ibrs, "auto-ibrs", CPUID_EXT_FEATURES_2, 0, EAX, CPUIDE21_A_AUTO_IBRS),
	FEATURE(has_svm, "svm", CPUID_EXT_INFO, 0, ECX, CPUIDE1_C_SVM),
	FEATURE(has_nx, "nx", CPUID_EXT_INFO, 0, EDX, CPUIDE1_D_NX),
	FEATURE(has_1g, "1g", CPUID_EXT_INFO, 0, EDX, CPUIDE1_D_1G),
	FEATURE(has_rdtscp, "rdtscp", CPUID_EXT_INFO, 0, EDX, CPUIDE1_D_RDTSCP),
	FEATURE(has_invariant_tsc, "invariant-tsc", CPUID_APM, 0, EDX, CPUID_APM_D_INVARIANT_TSC),
};

#define HZ_PER_MHZ		1000000ULL
#define PHYS_BITS_DEFAULT	36	/* of a processor too old for leaf 8000_0008 */
#define ADDR_PHYS_BITS		FIELD(7, 0)

static bool has_leaf(const struct cpu_features *has, uint32_t leaf)
{
	return leaf <= (leaf >= CPUID_EXT_BASE ? has->max_ext_leaf : has->max_leaf);
}

/* Intel's processors answer a leaf beyond the last one with the data of the last one: such leaves are not asked. */
static bool has_feature(const struct cpu_features *has, const struct feature_row *row)
{
	struct cpuid_regs regs;

	if (!has_leaf(has, row->leaf))
		return false;
	regs = cpuid(row->leaf, row->subleaf);
	return (uint32_t[]){ regs.eax, regs.ebx, regs.ecx, regs.edx }[row->reg] & row->bit;
}

static void read_names(struct cpu_features *has)
{
	struct cpuid_regs regs = cpuid(CPUID_BASIC, 0);
	uint32_t text[] = { regs.ebx, regs.edx, regs.ecx };

	has->max_leaf = regs.eax;
	has->max_ext_leaf = cpuid(CPUID_EXT_BASE, 0).eax;
	memcpy(has->vendor, text, sizeof(text));
	has->is_intel = strcmp(has->vendor, "GenuineIntel") == 0;
	has->is_amd = strcmp(has->vendor, "AuthenticAMD") == 0 ||
		      strcmp(has->vendor, "HygonGenuine") == 0;
	if (!has_leaf(has, CPUID_BRAND_LAST))
		return;
	for (uint32_t leaf = CPUID_BRAND_FIRST; leaf <= CPUID_BRAND_LAST; leaf++) {
		regs = cpuid(leaf, 0);
		memcpy(has->brand + (leaf - CPUID_BRAND_FIRST) * sizeof(regs), &regs, sizeof(regs));
	}
	for (size_t len = strlen(has->brand); len > 0 && has->brand[len - 1] == ' '; len--)
		has->brand[len - 1] = '\0';
}

/* By convention leaf 4000_0000 holds the name of the hypervisor whose guest we are. */
static void read_hypervisor(struct cpu_features *has)
{
	struct cpuid_regs regs;

	if (!has->has_hypervisor)
		return;
	regs = cpuid(CPUID_HV_BASE, 0);
	memcpy(has->hypervisor, (uint32_t[]){ regs.ebx, regs.ecx, regs.edx }, 3 * sizeof(uint32_t));
	if (!has->hypervisor[0])
		text_copy(has->hypervisor, "a hypervisor", sizeof(has->hypervisor));
}

static uint64_t whole_group(const struct cpu_features *has, uint64_t group)
{
	return (has->xcr0_all & group) == group ? group : 0;
}

/*
 * Components that belong together are offered together: XSETBV refuses a part of AVX-512, and AVX-512
 * without AVX.
 */
static uint64_t xcr0_for_guests(const struct cpu_features *has)
{
	uint64_t mask = XCR0_X87 | XCR0_SSE;

	if (has->has_avx)
		mask |= whole_group(has, XCR0_AVX);
	if (has->has_avx512 && mask & XCR0_AVX)
		mask |= whole_group(has, XCR0_AVX512);
	return mask;
}

static void read_sizes(struct cpu_features *has)
{
	uint32_t sizes = has_leaf(has, CPUID_ADDR) ? cpuid(CPUID_ADDR, 0).eax : 0;

	has->phys_bits = sizes ? (uint8_t)field_get(sizes, ADDR_PHYS_BITS) : PHYS_BITS_DEFAULT;
	if (has->has_xsave) {
		struct cpuid_regs regs = cpuid(CPUID_XSAVE, 0);

		has->xsave_size = regs.ecx;
		has->xcr0_all = join32(regs.edx, regs.eax);
	}
	has->xcr0_guest = xcr0_for_guests(has);
}

static bool *feature_flag(struct cpu_features *has, const struct feature_row *row)
{
	return (bool *)((uint8_t *)has + row->flag);
}

/*
 * Intel's, until IA32_ARCH_CAPABILITIES says otherwise ("Machine Check Error on Page Size Change",
 * INTEL-SA-00210).
 */
static bool has_page_size_erratum(const struct cpu_features *has)
{
	return has->is_intel && !(has->arch_capabilities & ARCH_CAP_IF_PSCHANGE_MC_NO);
}

static void read_features(struct cpu_features *has)
{
	memset(has, 0, sizeof(*has));
	read_names(has);
	for (size_t i = 0; i < countof(features); i++)
		*feature_flag(has, &features[i]) = has_feature(has, &features[i]);
	read_hypervisor(has);
	read_sizes(has);
	has->arch_capabilities = has->has_arch_capabilities ? rdmsr(MSR_IA32_ARCH_CAPABILITIES) : 0;
	has->has_page_size_erratum = has_page_size_erratum(has);
}

void features_read_boot(void)
{
	read_features(&cpu_features);
}

/*
 * The first feature that the boot processor has and this one lacks. Additional features do no harm: nobody
 * uses them.
 */
static const char *find_lack(struct cpu_features *own)
{
	if (strcmp(own->vendor, cpu_features.vendor) != 0)
		return "the vendor";
	for (size_t i = 0; i < countof(features); i++)
		if (*feature_flag(&cpu_features, &features[i]) && !*feature_flag(own, &features[i]))
			return features[i].name;
	if (cpu_features.arch_capabilities & ~own->arch_capabilities)
		return "what IA32_ARCH_CAPABILITIES says it is safe from";
	if (own->phys_bits != cpu_features.phys_bits)
		return "the number of address bits";
	if (own->has_page_size_erratum && !cpu_features.has_page_size_erratum)
		return "the page-size erratum";
	return cpu_features.xcr0_all & ~own->xcr0_all ? "a component of XSAVE" : NULL;
}

const char *features_find_lack(void)
{
	struct cpu_features own;

	read_features(&own);
	return find_lack(&own);
}

/* What a user should know about the machine although it works. */
void host_warn(void)
{
	if (cpu_features.has_hybrid)
		log_warn("TZ-W008 this processor has P and E cores: guests run on those like the boot processor");
	if (cpu_features.has_page_size_erratum)
		log_info("TZ-I013 this processor may have the page-size erratum (CVE-2018-12207): guests execute from 4 KiB pages");
	if (!cpu_features.has_invariant_tsc && !cpu_features.has_hypervisor)
		log_warn("TZ-W020 the TSC of this processor may change its rate (CPUID 8000_0007): guests' time may drift");
}

void host_report(void)
{
	char text[256];
	size_t len = 0;

	for (size_t i = 0; i < countof(features); i++)
		if (*feature_flag(&cpu_features, &features[i]) && len < sizeof(text))
			len += format_buf(text + len, sizeof(text) - len, " %s", features[i].name);
	log_info("processor %s%s%s, %u address bits, TSC %llu MHz",
		 cpu_features.brand[0] ? cpu_features.brand : cpu_features.vendor,
		 cpu_features.has_hypervisor ? " under " : "", cpu_features.hypervisor, cpu_features.phys_bits,
		 time_hz() / HZ_PER_MHZ);
	log_debug("processor offers%s", text);
	speculation_words(text, sizeof(text));
	log_debug("against speculation: %s", text);
}
