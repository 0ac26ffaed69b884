/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An interrupt line: what a device holds to ask for attention. It knows nothing of controllers; whoever
 * builds the machine (hv/machine.c) decides where the wire ends. Level changes only, no vectors.
 */
#include <stdbool.h>

struct irq_line {
	void   (*set)(void *ctx, unsigned pin, bool is_high);
	void    *ctx;
	unsigned pin;
};

static inline void irq_set(const struct irq_line *line, bool is_high)
{
	if (line->set)
		line->set(line->ctx, line->pin, is_high);
}

static inline void irq_raise(const struct irq_line *line) { irq_set(line, true); }
static inline void irq_lower(const struct irq_line *line) { irq_set(line, false); }
