/* SPDX-License-Identifier: MIT */
/* Parts of a saved extended state (contract in fpu_area.h). */
#include "arch/x86/host/fpu_area.h"

#include "arch/x86/hw/insn.h"
#include "hv/lib/bits.h"
#include "hv/lib/string.h"

#define CPUID_XSTATE	0xdU	/* sub-leaf n: size (EAX) and offset (EBX) of component n */

uint8_t *fpu_component(struct fpu_area *area, unsigned component, uint64_t components)
{
	struct cpuid_regs where = { .eax = sizeof(area->xmm), .ebx = offsetof(struct fpu_area, xmm) };
	uint8_t *bytes;

	if (component != FPU_COMPONENT_SSE) {
		if (!(components & BIT(component)))
			return NULL;
		where = cpuid(CPUID_XSTATE, component);
	}
	bytes = (uint8_t *)area + where.ebx;
	if (components && !(area->xstate_bv & BIT(component)))
		memset(bytes, 0, where.eax);
	area->xstate_bv |= BIT(component);
	return bytes;
}
