/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What to inject next: a pure decision over facts the vendor gathers, so that the order of priority
 * (SDM vol. 3, 6.9 "Priority Among Simultaneous Exceptions and Interrupts"), blocking and windows are
 * written and tested once.
 */
#include <stdbool.h>

#include "arch/x86/virt/cpu_state.h"

struct vcpu;

struct inject_facts {
	bool has_pending;	/* an exception to inject, or an event the exit interrupted */
	bool nmi_pending, irq_pending;
	bool nmi_blocked;	/* by an earlier NMI; on VT-x also by the shadow of STI or MOV SS */
	bool if_set;		/* RFLAGS.IF */
	bool in_shadow;		/* STI or MOV SS: no interrupt before the next instruction */
};

enum inject_what { INJECT_NOTHING, INJECT_PENDING, INJECT_NMI, INJECT_IRQ };

struct inject_plan {
	enum inject_what what;
	bool want_irq_window, want_nmi_window;	/* tell us when the rest can be delivered */
};

/* Inline, because each interrupt of a guest comes this way. */
static inline struct inject_plan inject_decide(const struct inject_facts *facts)
{
	struct inject_plan plan = { INJECT_NOTHING, false, false };
	bool nmi_can = !facts->nmi_blocked && !facts->in_shadow;
	bool irq_can = facts->if_set && !facts->in_shadow;

	/* An event cut short by the exit has already happened for the guest: nothing goes before it. */
	if (facts->has_pending)
		plan.what = INJECT_PENDING;
	else if (facts->nmi_pending && nmi_can)
		plan.what = INJECT_NMI;
	else if (facts->irq_pending && irq_can)
		plan.what = INJECT_IRQ;

	plan.want_nmi_window = facts->nmi_pending && plan.what != INJECT_NMI;
	plan.want_irq_window = facts->irq_pending && plan.what != INJECT_IRQ;
	return plan;
}
