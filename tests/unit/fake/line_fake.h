/* SPDX-License-Identifier: MIT */
#pragma once
/* The far end of an interrupt line: its level and how often it rose. */
#include <stdbool.h>

#include "hv/irq.h"

struct line_fake { bool is_high; unsigned rises; };

static inline void line_fake_set(void *ctx, unsigned pin, bool is_high)
{
	struct line_fake *line = ctx;

	(void)pin;
	if (is_high && !line->is_high)
		line->rises++;
	line->is_high = is_high;
}

static inline struct irq_line line_fake_end(struct line_fake *line)
{
	return (struct irq_line){ .set = line_fake_set, .ctx = line };
}
