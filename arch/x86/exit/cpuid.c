/* SPDX-License-Identifier: MIT */
/*
 * CPUID, the exit (contract in cpuid.h): find the answer in the VM's table, patch the few leaves that depend
 * on the vCPU. What is in the table is cpuid_policy.c's business.
 */
#include "arch/x86/exit/cpuid.h"

#include "arch/x86/exit/handlers.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/hw/xsave.h"
#include "arch/x86/virt/backend.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* Leaves without a direct index, and those with subleaves: a search. */
static const struct cpuid_entry *search(const struct cpuid_table *table, uint32_t first, uint32_t leaf,
					uint32_t subleaf)
{
	for (uint32_t i = first; i < table->count; i++) {
		const struct cpuid_entry *entry = &table->entries[i];

		if (entry->leaf == leaf && (!entry->has_subleaf || entry->subleaf == subleaf))
			return entry;
	}
	return NULL;
}

static inline const struct cpuid_entry *find(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
	uint32_t low = leaf & ~CPUID_EXT_BASE, first;
	const struct cpuid_entry *entry;

	if (low >= CPUID_INDEX_MAX)
		return search(table, 0, leaf, subleaf);
	first = (leaf & CPUID_EXT_BASE ? table->ext : table->basic)[index_nospec(low, CPUID_INDEX_MAX)];
	if (!first)
		return NULL;
	entry = &table->entries[first - 1];
	return entry->has_subleaf ? search(table, first - 1, leaf, subleaf) : entry;
}

struct cpuid_regs cpuid_lookup(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_entry *entry = find(table, leaf, subleaf);

	return entry ? entry->regs : (struct cpuid_regs){ 0 };
}

/*
 * Bytes of an XSAVE area with these components, in the standard or the compacted format: SDM vol. 1, 13.4.2
 * and 13.4.3 "Extended Region of an XSAVE Area". Computed, not asked of the host, whose answer depends on
 * what is in its XCR0 and XSS at the moment.
 */
uint32_t cpuid_xsave_size(const struct cpuid_table *table, uint64_t components, bool is_compacted)
{
	uint32_t size = XSAVE_LEGACY;

	for (uint32_t i = 0; i < table->count; i++) {
		const struct cpuid_entry *entry = &table->entries[i];
		uint32_t start = entry->regs.ebx;

		if (entry->leaf != CPUID_XSAVE || entry->subleaf < 2 || !(components & BIT(entry->subleaf)))
			continue;
		if (is_compacted)
			start = xsave_compacted_start(size, entry->regs.ecx);
		size = (uint32_t)max_u64(size, start + entry->regs.eax);
	}
	return size;
}

/* Above the last basic leaf Intel processors answer with that leaf (SDM vol. 2, CPUID), AMD's with zeros. */
static uint32_t effective_leaf(const struct cpuid_table *table, uint32_t leaf)
{
	bool is_beyond = leaf > table->max_basic && leaf < CPUID_HV_BASE;

	return is_beyond && table->repeats_last ? table->max_basic : leaf;
}

/* Those that patch knows. */
bool cpuid_is_dynamic(uint32_t leaf)
{
	return leaf == CPUID_FEATURES || leaf == CPUID_TOPOLOGY || leaf == CPUID_XSAVE;
}

/* Leaves that depend on which vCPU asks, and on what it has switched on. */
static struct cpuid_regs patch(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs regs)
{
	enum { APIC_ID_SHIFT = 24 };
	const uint64_t count = FIELD(23, 16);

	if (leaf == CPUID_FEATURES) {
		regs.ebx |= vcpu->id << APIC_ID_SHIFT;
		if (vcpu->vm->vcpu_count > 1) {
			regs.ebx = (uint32_t)field_set(regs.ebx, count, vcpu->vm->vcpu_count);
			regs.edx |= (uint32_t)CPUID1_D_HTT;
		}
		if (virt->get(vcpu, REG_CR4) & CR4_OSXSAVE)
			regs.ecx |= (uint32_t)CPUID1_C_OSXSAVE;
		if (!(vcpu->lapic.s.base_msr & APIC_BASE_ENABLE))
			regs.edx &= (uint32_t)~CPUID1_D_APIC;
	} else if (leaf == CPUID_TOPOLOGY) {
		regs.edx = vcpu->id;		/* in every subleaf */
		regs.ecx |= subleaf & 0xffU;
	} else if (leaf == CPUID_XSAVE && subleaf <= 1 && regs.eax) {
		regs.ebx = cpuid_xsave_size(vcpu->vm->cpuid, fpu_live_xcr0() | vcpu->xss, subleaf == 1);
	}
	return regs;
}

/* 32-bit results: the upper halves become zero in every mode. */
static inline enum exit_result answer(struct vcpu *vcpu, struct cpuid_regs regs)
{
	vcpu->gpr[GPR_RAX] = regs.eax;
	vcpu->gpr[GPR_RBX] = regs.ebx;
	vcpu->gpr[GPR_RCX] = regs.ecx;
	vcpu->gpr[GPR_RDX] = regs.edx;
	return EXIT_SKIP;
}

/*
 * Out of line: the quick way saves no registers. The topology leaf has an answer also where the host has no
 * such leaf.
 */
__attribute__((noinline))
static enum exit_result answer_dynamic(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf,
				       const struct cpuid_entry *entry)
{
	return answer(vcpu, patch(vcpu, leaf, subleaf, entry ? entry->regs : (struct cpuid_regs){ 0 }));
}

enum exit_result exit_cpuid(struct vcpu *vcpu)
{
	const struct cpuid_table *table = vcpu->vm->cpuid;
	uint32_t leaf = effective_leaf(table, (uint32_t)vcpu->gpr[GPR_RAX]);
	uint32_t subleaf = (uint32_t)vcpu->gpr[GPR_RCX];
	const struct cpuid_entry *entry = find(table, leaf, subleaf);

	if (entry ? entry->is_dynamic : cpuid_is_dynamic(leaf))
		return answer_dynamic(vcpu, leaf, subleaf, entry);
	return answer(vcpu, entry ? entry->regs : (struct cpuid_regs){ 0 });
}
