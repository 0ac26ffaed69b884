/* SPDX-License-Identifier: MIT */
/* The list of quirks, and those that CPUID betrays (contract in quirks.h). */
#include "arch/x86/virt/quirks.h"

#include <stddef.h>

#include "arch/x86/host/features.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/xsave.h"
#include "hv/lib/format.h"
#include "hv/lib/util.h"
#include "hv/log.h"

#define LINE_MAX	400U	/* all of them fit */

struct quirks quirks;

bool quirks_compaction_is_wrong(uint64_t components, struct cpuid_regs (*host)(uint32_t leaf, uint32_t subleaf))
{
	const struct cpuid_regs main = host(CPUID_XSAVE, 1);
	uint32_t size = XSAVE_LEGACY;

	for (uint32_t sub = 2; sub < XSAVE_COMPONENTS; sub++) {
		struct cpuid_regs regs = { 0 };

		if (components & BIT(sub))
			regs = host(CPUID_XSAVE, sub);
		size = xsave_compacted_start(size, regs.ecx) + regs.eax;
	}
	return (main.eax & (CPUIDD1_XSAVEC | CPUIDD1_XSAVES)) && main.ebx != size;
}

static bool flags_are_garbled(void)
{
	const uint64_t reserved = BIT(22);

	return cpuid(CPUID_FEATURES, 0).ecx & CPUID1_C_CX16 && flags_behind_cmpxchg16b(reserved) & reserved;
}

void quirks_complete(void)
{
	const struct { bool is_here; const char *what; } rows[] = {
		{ quirks.compacts_wrongly = cpu_features.has_xsave && quirks_compaction_is_wrong(xgetbv(0), cpuid),
		  "compacted XSAVE areas have a wrong size" },
		{ quirks.garbles_flags = flags_are_garbled(), "CMPXCHG16B leaves garbage in RFLAGS" },
		{ quirks.delivers_masked, "virtual interrupts do not mind IF" },
		{ quirks.forgets_shadow, "VMRUN forgets the interrupt shadow" },
		{ quirks.mixes_cs, "SYSENTER leaves a CS that VMRUN refuses" },
		{ quirks.marks_pae_pointers, "PDPTEs are marked accessed" },
		{ quirks.hides_step, "a single step does not say so in DR6" },
		{ quirks.steps_reach_us, "a guest's single step reaches the host" },
	};
	char   line[LINE_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < countof(rows); i++) {
		if (!rows[i].is_here || len >= sizeof(line))
			continue;
		len += format_buf(line + len, sizeof(line) - len, "%s %s", len ? "," : "", rows[i].what);
	}
	if (len)
		log_info("quirks of this processor, allowed for:%s", line);
}
