/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An interrupt line: what a device holds to ask for attention. It knows nothing of controllers; whoever
 * builds the machine (hv/machine.c) decides where the wire ends. Level changes only, no vectors.
 *
 * A device with a clock of its own may ask from when on another rise would change anything (irq_heard_from), and have no
 * timer until then. Before that can come sooner, whoever masks the line calls irq_wake, or whoever builds the machine wakes
 * the device in its own way. So a line can say that it is not heard only if its device is the sleeper that they wake.
 */
#include <stdbool.h>
#include <stdint.h>

struct irq_line {
	void   (*set)(void *ctx, unsigned pin, bool is_high);
	void    *ctx;
	unsigned pin;
	uint64_t (*heard_from)(void *ctx, unsigned pin);	/* NULL: always */
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

/* A moment of the VM's clock; one that has passed: now. TIMER_NEVER: not before the device is woken. */
static inline uint64_t irq_heard_from(const struct irq_line *line)
{
	return line->heard_from ? line->heard_from(line->ctx, line->pin) : 0;
}

static inline void irq_wake(const struct irq_sleeper *sleeper)
{
	if (sleeper->wake)
		sleeper->wake(sleeper->ctx);
}

static inline void irq_raise(const struct irq_line *line) { irq_set(line, true); }
static inline void irq_lower(const struct irq_line *line) { irq_set(line, false); }
