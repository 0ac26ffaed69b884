/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's pin LINT0, where the 8259 pair's INT output ends (SDM vol. 3, 11.5.1 "Local Vector Table").
 * Its LVT entry says what a high level means: ExtINT, the processor asks the 8259 for a vector; Fixed, the
 * vector of the entry, at a rise or as long as the level stands; NMI, at a rise. Other modes do nothing here.
 */
#include "hv/dev/lapic_regs.h"
#include "hv/lib/shared.h"

void lapic_lint0_changed(struct lapic *lapic, bool is_rise)
{
	uint32_t *lint0 = &lapic->s.lvt[LVT_LINT0], mode = (*lint0 & LVT_MODE) >> LVT_MODE_SHIFT;

	if (!lapic->s.lint0_is_high)
		return;
	if (lapic_takes_extint(lapic)) {
		lapic->env->kick(lapic->ctx);
	} else if (*lint0 & LVT_MASKED) {
		return;
	} else if (mode == APIC_NMI && is_rise) {
		lapic->env->nmi(lapic->ctx);
	} else if (mode == APIC_FIXED && (*lint0 & LVT_LEVEL) && !(*lint0 & LVT_REMOTE_IRR)) {
		shared_write32(lint0, *lint0 | LVT_REMOTE_IRR);	/* until the EOI, as with an input of the I/O APIC */
		lapic_post(lapic, (uint8_t)*lint0, true);
	} else if (mode == APIC_FIXED && !(*lint0 & LVT_LEVEL) && is_rise) {
		lapic_post(lapic, (uint8_t)*lint0, false);
	}
}

void lapic_lint0_ended(struct lapic *lapic, uint8_t vector)
{
	uint32_t *lint0 = &lapic->s.lvt[LVT_LINT0];

	if (!(*lint0 & LVT_REMOTE_IRR) || (*lint0 & LVT_VECTOR) != vector)
		return;
	shared_write32(lint0, *lint0 & ~LVT_REMOTE_IRR);
	lapic_lint0_changed(lapic, false);
}

void lapic_set_lint0(struct lapic *lapic, bool is_high)
{
	bool is_rise = is_high && !lapic->s.lint0_is_high;

	lapic->s.lint0_is_high = is_high;
	lapic_lint0_changed(lapic, is_rise);
}

bool lapic_takes_extint(const struct lapic *lapic)
{
	uint32_t lint0 = lapic->s.lvt[LVT_LINT0];

	/* Switched off, the APIC's LINT0 is the processor's INTR pin. */
	if (!(lapic->s.base_msr & APIC_BASE_ENABLE))
		return true;
	return !(lint0 & LVT_MASKED) && (lint0 & LVT_MODE) >> LVT_MODE_SHIFT == APIC_EXTINT;
}

bool lapic_lint0_is_nmi(const struct lapic *lapic)
{
	uint32_t lint0 = shared_read32(&lapic->s.lvt[LVT_LINT0]);

	/* An APIC that is switched off has all entries masked. */
	return !(lint0 & LVT_MASKED) && (lint0 & LVT_MODE) >> LVT_MODE_SHIFT == APIC_NMI;
}
