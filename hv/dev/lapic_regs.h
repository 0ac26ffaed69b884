/* SPDX-License-Identifier: MIT */
#pragma once
/* What the lapic*.c share; of no use to others. */
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/lapic.h"

/* Places in struct lapic's lvt[]. */
enum lapic_lvt { LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define VECTORS_PER_WORD	32U
#define VECTOR_WORDS		8U
#define LAPIC_CLASS_SHIFT	4	/* a priority class is 16 vectors */

/* lapic.c */
void    lapic_eoi(struct lapic *lapic);
void    lapic_error(struct lapic *lapic, uint32_t esr_bit);
uint8_t lapic_ppr(const struct lapic *lapic);
bool    lapic_is_requested(const struct lapic *lapic, uint8_t vector);	/* and not taken yet */
void    lapic_set_tpr(struct lapic *lapic, uint8_t tpr);
void    lapic_send(struct lapic *lapic);	/* what lapic->icr says */
void    lapic_sum_up(struct lapic *lapic);	/* irr_words and isr_words, from s */
void    lapic_level_ended(struct lapic *lapic, uint8_t vector);		/* tell those who wait for it */

/* lapic_page.c; all but lapic_forget_page only while there is a page */
int     lapic_page_pending(const struct lapic *lapic);
bool    lapic_page_is_requested(const struct lapic *lapic, uint8_t vector);
void    lapic_page_request(struct lapic *lapic, uint8_t vector, bool is_level);
void    lapic_page_remind(struct lapic *lapic, uint8_t vector);		/* of one that is requested: before the next entry there is something to do */
void    lapic_forget_page(struct lapic *lapic);		/* with what is in it */

/* lapic_lint0.c */
void    lapic_lint0_changed(struct lapic *lapic, bool is_rise);		/* the pin or its LVT entry */
void    lapic_lint0_ended(struct lapic *lapic, uint8_t vector);	/* EOI: a pin that is still high asks again */

/* lapic_regs.c */
void    lapic_regs_after_load(struct lapic *lapic);

/* lapic_timer.c */
void     lapic_timer_init(struct lapic *lapic);
void     lapic_timer_after_load(struct lapic *lapic);
void     lapic_timer_go_on(struct lapic *lapic);	/* a periodic count whose interrupt was taken */
void     lapic_timer_reset(struct lapic *lapic);
void     lapic_timer_set_initial(struct lapic *lapic, uint32_t count);
void     lapic_timer_set_divide(struct lapic *lapic, uint32_t value);
void     lapic_timer_set_lvt(struct lapic *lapic, uint32_t lvt);
uint32_t lapic_timer_current(const struct lapic *lapic);
