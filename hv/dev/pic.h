/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Two cascaded 8259A interrupt controllers with the edge/level registers of a PC chip set (Intel 8259A
 * data sheet, "Programming the 8259A").
 *
 *   20 a0   write: ICW1 (bit 4), OCW3 (bit 3), OCW2     read: IRR or ISR as OCW3 chose, or the poll word
 *   21 a1   write: ICW2..ICW4 during initialisation, else the mask (OCW1)          read: the mask
 *   4d0 4d1 ELCR: 1 = level-triggered
 *
 * After reset it stands as firmware leaves it: vectors 08h and 70h, normal EOI, everything masked.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/irq.h"

struct pic_chip {
	uint8_t irr, isr, imr;
	uint8_t lines;		/* levels of the inputs */
	uint8_t elcr;		/* level-triggered inputs */
	uint8_t vector_base;
	uint8_t lowest;		/* the input of lowest priority; rotation moves it */
	uint8_t init_step;	/* the ICW expected next at the odd port, 0 = none */
	bool    needs_icw4, is_single;
	bool    auto_eoi, rotate_on_aeoi, special_mask, special_fully_nested;
	bool    read_isr, poll;
	bool    is_slave;
};

struct pic_state {
	struct pic_chip chip[2];	/* master, slave (on the master's input 2) */
};

struct pic {
	struct pic_state s;
	struct irq_line output;		/* INT of the master */
	bool            is_high;	/* what output was told last */
	struct irq_sleeper sleeper;	/* called before an input can be unmasked or a latch cleared */
};

void pic_init(struct pic *pic, const struct irq_line *output);
void pic_reset(struct pic *pic);
void pic_after_load(void *dev);
__attribute__((warn_unused_result)) int pic_map(struct pic *pic, struct bus *pio);

void pic_set_line(struct pic *pic, unsigned pin, bool is_high);	/* 0..15; 2 is the cascade and ignored */
/* Would another rise change anything? Not while the input is masked and has latched one already. */
bool pic_hears(const struct pic *pic, unsigned pin);
/* Both INTA cycles: the vector; spurious 7 or 15 when nothing is left. */
uint8_t pic_ack(struct pic *pic);
