/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a guest may be promised of this processor, with the controls that this back end got: filled once, by
 * `supported` on the boot processor, and constant from then on. struct cpu_features says what the processor
 * has, and nobody but host/features.c writes it.
 */
#include <stdbool.h>

enum msr_vendor { MSR_ANY, MSR_INTEL, MSR_AMD };	/* whose processors have an MSR */

struct guest_caps {
	enum msr_vendor vendor;		/* whose MSRs a guest finds: #GP on the others */
	bool has_counters;		/* RDPMC reads four counters, which stand; else it is #GP */
	bool needs_wide_tss;		/* IA-32e mode cannot begin with a 16-bit TSS */
	bool rdtscp, invpcid, xsaves;	/* instructions that need a control of VT-x; CPUID offers them only with it */
	bool delivers;			/* interrupts of a local APIC in x2APIC mode (hv/dev/lapic_page.h) */
	bool small_code;		/* guests execute from small pages only: npt.h */
};
