/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The cut between the local APIC and a processor that delivers a guest's interrupts by itself. Such a processor keeps
 * IRR, ISR, TPR and PPR in a page, at the places that they have in xAPIC's. It takes the highest vector as soon as the
 * guest can take it, ends it at EOI, and lets the guest read and write what it keeps, all without an exit.
 *
 * One truth at any moment. From lapic_to_page to lapic_from_page the page has it, and before and after struct
 * lapic_state has it: lapic->page says which. The back end hands the vectors over before an entry (`deliver` in
 * arch/x86/virt/backend.h), as long as the APIC is in a state that the processor can play. The APIC takes them back when
 * something is asked of it for which the page has no function here: it is saved, changes its mode, is switched off by
 * software, or the guest asks for a register of which only struct lapic_state knows. A reset forgets them. The back end
 * finds that at its next `deliver`, and hands over anew, or has interrupts injected. So a saved state does not know of
 * pages.
 *
 * Both only while the guest does not run, and by the vCPU's owner; others read TPR (hv/request.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/lapic.h"
#include "hv/lib/apic.h"

#define LAPIC_PAGE_REGS	256U

struct lapic_page { uint32_t reg[LAPIC_PAGE_REGS][APIC_REG_BYTES / sizeof(uint32_t)]; };	/* by enum apic_reg; the rest of each is 0 */

/* Is the APIC in x2APIC mode and switched on? In other states it does what those processors do not. */
bool lapic_page_fits(const struct lapic *lapic);
void lapic_to_page(struct lapic *lapic, struct lapic_page *page);	/* the processor must be told all of the page then */

/*
 * What the processor must be told before the next entry, in words: the highest vector that was requested since, 0 is
 * none; the trigger mode of some vector has changed (TMR). It is told once.
 */
struct lapic_news { uint8_t requested; bool levels; };
static inline bool lapic_has_news(const struct lapic *lapic) { return lapic->requested; }
struct lapic_news lapic_take_news(struct lapic *lapic);

/* How many vectors are requested, wherever the truth is. */
enum lapic_requests { LAPIC_NO_REQUEST, LAPIC_ONE_REQUEST, LAPIC_SEVERAL_REQUESTS };
enum lapic_requests lapic_requests(const struct lapic *lapic);

int  lapic_page_highest(const struct lapic_page *page, enum apic_reg set);	/* of IRR or ISR; -1: it is empty */

/* The guest has ended a vector that is in TMR. */
void lapic_page_ended(struct lapic *lapic, uint8_t vector);
