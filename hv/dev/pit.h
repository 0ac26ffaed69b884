/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * 8254 interval timer and the speaker port (Intel 8254 data sheet, "Operational Description").
 *
 *   40 41 42  counters 0 (IRQ 0), 1 (refresh), 2 (speaker)
 *   43        control word, counter latch, read-back
 *   61        bit 0 gate of counter 2, 1 speaker, 4 refresh toggle (read), 5 output of counter 2 (read)
 *
 * Nothing counts: values follow from the VM's clock and the moment counting began. Counter 0 runs in
 * mode 3 with the full count after reset, as firmware leaves it. Ticks missed while the VM did not run
 * are coalesced into one. So are those that would change nothing, which its line knows: meanwhile there is
 * no timer of the host (irq_heard_from), and pit_wake ends that.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/dev/pit_counter.h"
#include "hv/irq.h"
#include "hv/vm_clock.h"

struct pit_state {
	struct pit_counter counter[3];
	uint64_t           next_rise;	/* VM time of the next interrupt, which may have passed while the clock was stopped */
	uint8_t            speaker;	/* port 61h, the writable bits */
};

struct pit {
	struct pit_state   s;
	const struct vm_clock *clock;
	struct irq_line    irq;		/* output of counter 0 */
	struct timer       timer;	/* its next change worth an interrupt */
	uint64_t           shown_until;	/* VM time up to which port 61h reads `shown`; 0: it must be computed */
	uint8_t            shown;
};

void pit_init(struct pit *pit, const struct vm_clock *clock, const struct irq_line *irq);
void pit_reset(struct pit *pit);
void pit_wake(struct pit *pit);
void pit_after_load(void *dev);
__attribute__((warn_unused_result)) int pit_map(struct pit *pit, struct bus *pio);
