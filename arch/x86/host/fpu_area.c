/* SPDX-License-Identifier: MIT */
/* Parts of a saved extended state (contract in fpu_area.h). */
#include "arch/x86/host/fpu_area.h"

#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "hv/lib/bits.h"
#include "hv/lib/string.h"

_Static_assert(BIT(FPU_COMPONENT_SSE) == XCR0_SSE && BIT(FPU_COMPONENT_AVX) == XCR0_AVX &&
	       BIT(FPU_COMPONENT_ZMM_HIGH) == XCR0_ZMM_HI256, "a component's number is its bit in XCR0");

uint8_t *fpu_component(struct fpu_area *area, unsigned component, uint64_t components)
{
	struct cpuid_regs where = { .eax = sizeof(area->xmm), .ebx = offsetof(struct fpu_area, xmm) };
	uint8_t *bytes;

	if (component != FPU_COMPONENT_SSE) {
		if (!(components & BIT(component)))
			return NULL;
		where = cpuid(CPUID_XSAVE, component);	/* size in EAX, offset in EBX */
	}
	bytes = (uint8_t *)area + where.ebx;
	if (components && !(area->xstate_bv & BIT(component)))
		memset(bytes, 0, where.eax);
	area->xstate_bv |= BIT(component);
	return bytes;
}
