/* SPDX-License-Identifier: MIT */
/* The facts of this machine for the CPUID policy, which is pure (contract in cpuid_policy.h). */
#include "arch/x86/exit/cpuid_policy.h"

#include "arch/x86/exit/cpuid.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/quirks.h"
#include "hv/dev/lapic.h"
#include "hv/page.h"
#include "hv/timer.h"

_Static_assert(sizeof(struct cpuid_table) <= PAGE_SIZE, "one page");

struct cpuid_table *cpuid_create(uint32_t vcpu_count, uint32_t test_apic)
{
	const struct cpuid_facts facts = {
		.tsc_hz = time_hz(), .lapic_hz = LAPIC_TIMER_HZ, .vcpu_count = vcpu_count,
		.xcr0_mask = cpu_features.has_xsave ? fpu_guest_xcr0_mask() : 0,
		.can_compact = !quirks.compacts_wrongly, .can_cmpxchg16b = !quirks.garbles_flags,
		.can_end_by_word = !quirks_let_deliver(virt->caps->delivers, test_apic),	/* else an EOI in x2APIC mode does not exit either */
		.can_rdtscp = virt->caps->rdtscp, .can_invpcid = virt->caps->invpcid,
		.can_xsaves = virt->caps->xsaves,
	};
	struct cpuid_table *table = page_alloc();

	if (table)
		cpuid_build(table, &facts, cpuid);
	return table;
}
