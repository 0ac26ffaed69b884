/* SPDX-License-Identifier: MIT */
#pragma once
/* What the processor we run on can do: the features that we look up more than once. */
#include <stdbool.h>
#include <stdint.h>

struct cpu_features {
	char     vendor[13], brand[49];
	char     hypervisor[13];	/* whose guest we are, as it calls itself; "" when we are nobody's */
	bool     is_intel, is_amd;
	bool     has_vmx, has_svm, has_x2apic, has_tsc_deadline, has_xsave, has_xsaves, has_avx, has_avx512;
	bool     has_rdrand, has_rdseed, has_rdtscp, has_invpcid, has_pcid, has_nx, has_1g, has_smep, has_smap;
	bool     has_umip, has_fsgsbase, has_hypervisor, has_invariant_tsc, has_pku, has_hybrid;
	bool     has_arch_capabilities, has_page_size_erratum;
	bool     has_spec_ctrl, has_ibpb, has_ibrs, has_ibrs_always, has_auto_ibrs, has_l1d_flush, has_md_clear;
	uint64_t arch_capabilities;	/* the MSR; 0 where there is none */
	uint8_t  phys_bits;
	uint32_t max_leaf, max_ext_leaf;
	uint32_t xsave_size;		/* bytes for everything in xcr0_all */
	uint64_t xcr0_all, xcr0_guest;	/* XCR0 bits this processor supports, and those of them that guests may set */
};
extern struct cpu_features cpu_features;	/* of the boot processor; the others have all of it, or are left out */

void features_read_boot(void);			/* fills cpu_features in, from CPUID */
/* Of the processor that asks: the first thing that the boot processor has and it lacks; NULL: nothing. */
const char *features_find_lack(void);
