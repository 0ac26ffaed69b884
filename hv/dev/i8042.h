/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Keyboard controller without a keyboard, and the two other ways to reset a PC.
 *
 *   60  data          64  status (read), command (write): FE pulses reset
 *   92  bit 0 reset, bit 1 A20          cf9  bit 2 rising resets
 *
 * The controller answers its own commands; what is sent to a keyboard or mouse comes back at once as FE
 * with the time-out bit, as if nothing were plugged in. A20 is always open: its bit is only remembered.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/irq.h"

struct i8042_state {
	uint8_t status;
	uint8_t data;			/* output buffer */
	uint8_t control;		/* the command byte */
	uint8_t output_port;
	uint8_t command;		/* waits for its parameter at port 60h; 0 = none */
	uint8_t port92, cf9;
	bool    irq_is_high;
};

struct i8042 {
	struct i8042_state s;
	struct irq_line irq;		/* IRQ 1 */
	void  (*reset_requested)(void *ctx);
	void   *ctx;
};

void i8042_init(struct i8042 *dev, const struct irq_line *irq, void (*reset_requested)(void *), void *ctx);
void i8042_reset(struct i8042 *dev);
void i8042_after_load(void *opaque);
__attribute__((warn_unused_result)) int i8042_map(struct i8042 *dev, struct bus *pio);
