/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The CPUID policy: an allow list intersected with the host, computed once for each VM into a table of answers
 * (cpuid.h). It is pure; cpuid_create.c knows the facts of this machine.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/hw/insn.h"

struct cpuid_table;

/* What a host says to CPUID; tests pass their own. */
typedef struct cpuid_regs cpuid_host_fn(uint32_t leaf, uint32_t subleaf);

/* What the policy needs to know besides the host's answers. */
struct cpuid_facts {
	uint64_t tsc_hz, lapic_hz;
	uint64_t xcr0_mask;		/* bits a guest may set; 0 = no XSAVE for guests */
	uint32_t vcpu_count;
	bool     can_compact;		/* XSAVEC and XSAVES may be offered where the host has them */
	bool     can_cmpxchg16b;	/* as above */
	bool     can_end_by_word;	/* KVM's end of interrupt without an exit (pv/eoi.h) is of use */
	bool     can_rdtscp, can_invpcid, can_xsaves;	/* the back end lets guests execute them */
};

void cpuid_build(struct cpuid_table *table, const struct cpuid_facts *facts, cpuid_host_fn *host);

/* For a VM on this machine, with its key test_apic (enum handoff_apic): a page; NULL: no memory. */
struct cpuid_table *cpuid_create(uint32_t vcpu_count, uint32_t test_apic);
