/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An interrupt line: what a device holds to ask for attention. It knows nothing of controllers; whoever
 * builds the machine (hv/machine.c) decides where the wire ends. Level changes only, no vectors.
 *
 * A device with a clock of its own may ask whether another rise would change anything (irq_is_heard), and stop its
 * timer while none would. Before that can end, whoever masks the line calls irq_wake, or whoever builds the machine wakes
 * the device in its own way. So a line can say that it is not heard only if its device is the sleeper that they wake.
 */
#include <stdbool.h>

struct irq_line {
	void   (*set)(void *ctx, unsigned pin, bool is_high);
	void    *ctx;
	unsigned pin;
	bool   (*is_heard)(void *ctx, unsigned pin);	/* NULL: always */
};

struct irq_sleeper {
	void (*wake)(void *ctx);	/* NULL: no device sleeps */
	void  *ctx;
};

static inline void irq_set(const struct irq_line *line, bool is_high)
{
	if (line->set)
		line->set(line->ctx, line->pin, is_high);
}

static inline bool irq_is_heard(const struct irq_line *line)
{
	return !line->is_heard || line->is_heard(line->ctx, line->pin);
}

static inline void irq_wake(const struct irq_sleeper *sleeper)
{
	if (sleeper->wake)
		sleeper->wake(sleeper->ctx);
}

static inline void irq_raise(const struct irq_line *line) { irq_set(line, true); }
static inline void irq_lower(const struct irq_line *line) { irq_set(line, false); }
