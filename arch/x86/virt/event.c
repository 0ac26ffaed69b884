/* SPDX-License-Identifier: MIT */
/* Which events are faults, and what becomes of two (contract in event.h). */
#include "arch/x86/virt/event.h"

#include <stdint.h>

#include "hv/lib/bits.h"

/* Exceptions of class "fault" in table 6-1 of SDM vol. 3, less #DB, which may be a fault or a trap. */
#define FAULTS	(BIT(VEC_DE) | BIT(VEC_BR) | BIT(VEC_UD) | BIT(VEC_NM) | BIT(VEC_TS) | BIT(VEC_NP) | BIT(VEC_SS) |	\
		 BIT(VEC_GP) | BIT(VEC_PF) | BIT(VEC_MF) | BIT(VEC_AC) | BIT(VEC_XM))

bool vevent_is_fault(const struct vevent *event)
{
	return event->is_valid && event->type == VEVENT_EXCEPTION && (FAULTS & BIT(event->vector % 64));
}

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class class_of(const struct vevent *event)
{
	const uint64_t contributory = BIT(VEC_DE) | BIT(VEC_TS) | BIT(VEC_NP) | BIT(VEC_SS) | BIT(VEC_GP);

	if (event->type != VEVENT_EXCEPTION)
		return BENIGN;
	if (event->vector == VEC_DF)
		return DOUBLE_FAULT;
	if (event->vector == VEC_PF)
		return PAGE_FAULT;
	return contributory & BIT(event->vector % 32) ? CONTRIBUTORY : BENIGN;
}

bool vevent_combine(struct vevent *pending, const struct vevent *second)
{
	enum fault_class first_class = pending->is_valid ? class_of(pending) : BENIGN;
	enum fault_class second_class = class_of(second);

	if (first_class == DOUBLE_FAULT && second_class != BENIGN)
		return false;
	if ((first_class == CONTRIBUTORY && second_class == CONTRIBUTORY) ||
	    (first_class == PAGE_FAULT && (second_class == CONTRIBUTORY || second_class == PAGE_FAULT)))
		*pending = (struct vevent){ .is_valid = true, .type = VEVENT_EXCEPTION, .vector = VEC_DF,
					    .has_error = true };
	else
		*pending = *second;
	return true;
}
