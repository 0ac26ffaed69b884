/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The CPUID policy: an allow list intersected with the host, computed once for each VM into
 * a table of answers, and the few leaves that depend on the vCPU patched at the exit.
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/hw/insn.h"

#define CPUID_ENTRIES_MAX	96U
#define CPUID_INDEX_MAX		0x20U	/* basic and extended leaves with a direct index */

struct cpuid_entry {
	uint32_t          leaf, subleaf;
	bool              has_subleaf;
	bool              is_dynamic;	/* depends on the vCPU: APIC ID, OSXSAVE, size of the XSAVE area */
	struct cpuid_regs regs;
};

struct cpuid_table {
	uint32_t           count;
	uint32_t           max_basic, max_ext;
	bool               repeats_last;	/* Intel: leaves above the last basic one answer with that one */
	uint8_t            basic[CPUID_INDEX_MAX], ext[CPUID_INDEX_MAX];	/* first entry of a leaf + 1, 0 = none */
	struct cpuid_entry entries[CPUID_ENTRIES_MAX];
};

struct vm;
struct vcpu;

/* What a host says to CPUID; tests pass their own. */
typedef struct cpuid_regs cpuid_host_fn(uint32_t leaf, uint32_t subleaf);

/* What the policy needs to know besides the host's answers. */
struct cpuid_facts {
	uint64_t tsc_hz, lapic_hz;
	uint64_t xcr0_mask;		/* bits a guest may set; 0 = no XSAVE for guests */
	uint32_t vcpu_count;
	bool     can_compact;		/* XSAVEC and XSAVES may be offered where the host has them */
	bool     can_rdtscp, can_invpcid, can_xsaves;	/* the back end lets guests execute them */
};

void cpuid_build(struct cpuid_table *table, const struct cpuid_facts *facts, cpuid_host_fn *host);

struct cpuid_table *cpuid_create(uint32_t vcpu_count);	/* for a VM on this machine: a page; NULL: no memory */

uint32_t cpuid_xsave_size(const struct cpuid_table *table, uint64_t components, bool is_compacted);

/* Pure part of the exit: the table's answer; zeros where it has none. */
struct cpuid_regs cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf);
