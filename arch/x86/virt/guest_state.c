/* SPDX-License-Identifier: MIT */
/* A guest's state from anywhere is made harmless to us (contract in guest_state.h). */
#include "arch/x86/virt/guest_state.h"

#include "arch/x86/exit/policy.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/dr.h"
#include "hv/lib/bits.h"
#include "hv/lib/pc.h"
#include "hv/lib/util.h"
#include "hv/vcpu.h"

#define EVENT_TYPES	(BIT(VEVENT_IRQ) | FIELD(VEVENT_SOFT_EXC, VEVENT_NMI))
#define SFMASK_BITS	FIELD(31, 0)

static uint64_t canonical_or_zero(uint64_t addr)
{
	return is_canonical(addr) ? addr : 0;
}

void guest_state_bound(struct guest_state *state, uint64_t xcr0_mask)
{
	uint64_t *const addresses[] = { &state->lstar, &state->cstar, &state->kernel_gs_base };
	struct guest_event *event = &state->pending;

	for (size_t i = 0; i < countof(addresses); i++)
		*addresses[i] = canonical_or_zero(*addresses[i]);	/* or our WRMSR would be #GP */
	state->sfmask &= SFMASK_BITS;
	state->tsc_aux = lo32(state->tsc_aux);
	state->dr6 = DR6_RESET | (state->dr6 & DR6_STATUS);
	state->dr7 = DR7_RESET | (state->dr7 & DR7_WRITABLE);
	if (!xcr0_is_valid(state->xcr0, xcr0_mask))			/* or our XSETBV would be #GP */
		state->xcr0 = XCR0_X87;
	state->xss = 0;
	if (event->type > VEVENT_SOFT_EXC || !(EVENT_TYPES & BIT(event->type)) || event->vector >= VECTORS)
		event->is_valid = 0;
	if (state->run_state > VCPU_HALTED)
		state->run_state = VCPU_PARKED;
	if (state->in_shadow > SHADOW_MOV_SS)
		state->in_shadow = SHADOW_NONE;
}
