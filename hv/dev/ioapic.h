/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * I/O APIC with 24 inputs, version 0x20 (Intel 82093AA data sheet, "Register Description"; the EOI register
 * as later chip sets have it).
 *
 *   fec00000 +00 index   +10 data   +40 EOI (write: vector)
 *   index 0 ID, 1 version, 2 arbitration ID, 10+2n 11+2n redirection entry of input n
 *
 * Lines carry "asserted", not a voltage: the polarity bit is stored and has no effect. Edges on a masked
 * input are lost, as in the chip, but for `kept` ones.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/irq.h"
#include "hv/lib/apic.h"

#define IOAPIC_SIZE	0x1000ULL
#define IOAPIC_PINS	24U

struct ioapic_msg {
	uint32_t       dest;		/* 8 bits; ff = everybody when physical */
	bool           is_logical, is_level;
	uint8_t        vector;
	enum apic_mode mode;
};

struct ioapic_state {
	uint64_t redir[IOAPIC_PINS];
	uint32_t lines;			/* asserted inputs */
	uint8_t  index;
	uint8_t  id;
};

struct ioapic {
	struct ioapic_state s;
	/* True when some local APIC took it; a level-triggered one that nobody took is offered again later. */
	bool   (*deliver)(void *ctx, const struct ioapic_msg *msg);
	void    *ctx;
	struct irq_sleeper sleeper;	/* called before an input is masked or unmasked */
	/*
	 * A bit for each input whose device raises no second edge before it was served: if its line is up when it is
	 * unmasked, or made edge-triggered, the edge is sent then. A guest masks inputs for a moment when it moves them
	 * to another processor.
	 */
	uint32_t kept;
};

void ioapic_init(struct ioapic *ioapic, bool (*deliver)(void *, const struct ioapic_msg *), void *ctx);
void ioapic_reset(struct ioapic *ioapic);
void ioapic_after_load(void *dev);
__attribute__((warn_unused_result)) int ioapic_map(struct ioapic *ioapic, struct bus *mmio);

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool is_high);
bool ioapic_hears(const struct ioapic *ioapic, unsigned pin);	/* is this input open? */
bool ioapic_has_nmi(const struct ioapic *ioapic);	/* is one open in mode NMI or INIT, which need no RFLAGS.IF? */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);	/* a local APIC ended a level-triggered vector */
