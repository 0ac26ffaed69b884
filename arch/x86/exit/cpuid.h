/* SPDX-License-Identifier: MIT */
#pragma once
/* What CPUID answers in a VM: a table, computed once (cpuid_policy.h), and how the exit looks an answer up. */
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

uint32_t cpuid_xsave_size(const struct cpuid_table *table, uint64_t components, bool is_compacted);

/* Does the answer to this leaf depend on which vCPU asks? Its entries are marked is_dynamic. */
bool cpuid_is_dynamic(uint32_t leaf);

/* Pure part of the exit: the table's answer; zeros where it has none. */
struct cpuid_regs cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf);
