/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The local APIC's registers by their number: MSR 0x800 + n in x2APIC mode, offset 16 n of the MMIO page in
 * xAPIC mode (SDM vol. 3, table "Local APIC Register Address Map Supported by x2APIC"). Shared by the lapic*.c; of no
 * use to others.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/lapic.h"

enum lapic_reg {
	LAPIC_ID = 0x02, LAPIC_VERSION = 0x03, LAPIC_TPR = 0x08, LAPIC_APR = 0x09, LAPIC_PPR = 0x0a, LAPIC_EOI = 0x0b,
	LAPIC_RRD = 0x0c, LAPIC_LDR = 0x0d, LAPIC_DFR = 0x0e, LAPIC_SVR = 0x0f, LAPIC_ISR = 0x10, LAPIC_TMR = 0x18,
	LAPIC_IRR = 0x20, LAPIC_ESR = 0x28, LAPIC_LVT_CMCI = 0x2f, LAPIC_ICR = 0x30, LAPIC_ICR_HIGH = 0x31,
	LAPIC_LVT_TIMER = 0x32, LAPIC_LVT_THERMAL = 0x33, LAPIC_LVT_PERF = 0x34, LAPIC_LVT_LINT0 = 0x35,
	LAPIC_LVT_LINT1 = 0x36, LAPIC_LVT_ERROR = 0x37, LAPIC_INITIAL = 0x38, LAPIC_CURRENT = 0x39,
	LAPIC_DIVIDE = 0x3e, LAPIC_SELF_IPI = 0x3f, LAPIC_REGS = 0x40,
};

/* Places in struct lapic's lvt[]. */
enum lapic_lvt { LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_VECTOR	0x000000ffU
#define LVT_MODE	0x00000700U
#define LVT_MODE_SHIFT	8
#define LVT_REMOTE_IRR	0x00004000U
#define LVT_LEVEL	0x00008000U
#define LVT_MASKED	0x00010000U
#define LVT_TIMER_MODE	0x00060000U
#define LVT_PERIODIC	0x00020000U
#define LVT_DEADLINE	0x00040000U

#define SVR_ENABLE	0x00000100U

#define ICR_MODE	0x00000700U
#define ICR_MODE_SHIFT	8
#define ICR_SHORTHAND	0x000c0000U
#define ICR_SELF	0x00040000U

#define ESR_SEND_ILLEGAL	0x20U
#define ESR_RECEIVE_ILLEGAL	0x40U
#define ESR_REGISTER_ILLEGAL	0x80U

#define LAPIC_VECTOR_MIN	16U	/* lower ones are exceptions: an error, never delivered */
#define LAPIC_CLASS_SHIFT	4	/* a priority class is 16 vectors */

#define BASE_BSP	0x100ULL
#define BASE_EXTD	0x400ULL	/* x2APIC mode */
#define BASE_EN		0x800ULL
#define BASE_PAGE	0x000ffffffffff000ULL

/* lapic.c */
void    lapic_eoi(struct lapic *lapic);
void    lapic_error(struct lapic *lapic, uint32_t esr_bit);
uint8_t lapic_ppr(const struct lapic *lapic);
void    lapic_set_tpr(struct lapic *lapic, uint8_t tpr);
void    lapic_send(struct lapic *lapic);	/* what lapic->icr says */

/* lapic_lint0.c */
void    lapic_lint0_changed(struct lapic *lapic, bool is_rise);		/* the pin or its LVT entry */
void    lapic_lint0_ended(struct lapic *lapic, uint8_t vector);		/* EOI: if the pin is still high, it asks again */

/* lapic_regs.c */
void    lapic_regs_after_load(struct lapic *lapic);

/* lapic_timer.c */
void     lapic_timer_init(struct lapic *lapic);
void     lapic_timer_after_load(struct lapic *lapic);
void     lapic_timer_reset(struct lapic *lapic);
void     lapic_timer_set_initial(struct lapic *lapic, uint32_t count);
void     lapic_timer_set_divide(struct lapic *lapic, uint32_t value);
void     lapic_timer_set_lvt(struct lapic *lapic, uint32_t lvt);
uint32_t lapic_timer_current(const struct lapic *lapic);
