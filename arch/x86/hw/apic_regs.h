/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Registers of the local APIC and the I/O APIC as the driver needs them: SDM vol. 3, chapter 11 "Advanced
 * Programmable Interrupt Controller (APIC)"; Intel 82093AA datasheet. Local registers by their xAPIC offset;
 * in x2APIC mode the MSR is MSR_X2APIC_FIRST + offset / 16.
 */
#include "hv/lib/bits.h"

#define APIC_PAGE	0xfee00000ULL

#define APIC_ID		0x020U
#define APIC_TPR	0x080U
#define APIC_EOI	0x0b0U
#define APIC_SVR	0x0f0U
#define APIC_ESR	0x280U
#define APIC_LVT_CMCI	0x2f0U
#define APIC_ICR	0x300U
#define APIC_ICR_HIGH	0x310U
#define APIC_LVT_TIMER	0x320U
#define APIC_LVT_THERMAL 0x330U
#define APIC_LVT_PMC	0x340U
#define APIC_LVT_LINT0	0x350U
#define APIC_LVT_LINT1	0x360U
#define APIC_LVT_ERROR	0x370U
#define APIC_TIMER_INITIAL 0x380U
#define APIC_TIMER_CURRENT 0x390U
#define APIC_TIMER_DIVIDE 0x3e0U

#define APIC_SVR_ENABLE		BIT(8)
/* Interrupt command register, SDM vol. 3, 11.6.1: delivery mode, level asserted. */
#define APIC_ICR_NMI		((4ULL << 8) | BIT(14))
#define APIC_ICR_INIT		((5ULL << 8) | BIT(14))
#define APIC_ICR_SIPI		((6ULL << 8) | BIT(14))	/* or the number of a page */
#define APIC_ICR_PENDING	BIT(12)			/* xAPIC: not yet sent */
#define APIC_LVT_NMI		(4ULL << 8)	/* delivery mode */
#define APIC_LVT_MASKED		BIT(16)
#define APIC_LVT_DEADLINE	BIT(18)		/* timer modes: one-shot 0, periodic bit 17, TSC-deadline bit 18 */
#define APIC_DIVIDE_BY_16	3U
#define APIC_DIVISOR		16U
#define XAPIC_ID_MASK		FIELD(31, 24)
#define XAPIC_ID_MAX		254U		/* 255 is everybody */

/* I/O APIC: an index and a data register, the rest behind them. */
#define IOAPIC_DEFAULT		0xfec00000ULL
#define IOAPIC_SELECT		0x00U
#define IOAPIC_DATA		0x10U
#define IOAPIC_VERSION		1U
#define IOAPIC_REDIRECTION	0x10U		/* two registers each: low, high */
#define IOAPIC_PINS		FIELD(23, 16)	/* of the version register: highest entry */
#define IOAPIC_MASKED		BIT(16)
#define IOAPIC_LEVEL		BIT(15)
#define IOAPIC_DEST		FIELD(31, 24)	/* of the high half */
