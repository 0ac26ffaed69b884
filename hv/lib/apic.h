/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The words of local and I/O APIC, for the driver of the real ones (arch/x86/host) and the devices that pretend to
 * be some (hv/dev): SDM vol. 3, chapter 11 "Advanced Programmable Interrupt Controller (APIC)"; Intel 82093AA
 * data sheet.
 */
#include "hv/lib/bits.h"

#define LAPIC_BASE		0xfee00000ULL	/* at reset */
#define IOAPIC_BASE		0xfec00000ULL	/* of the only one, or the first */

/* IA32_APIC_BASE, SDM vol. 3, 11.4.4 */
#define APIC_BASE_BSP		BIT(8)
#define APIC_BASE_X2APIC	BIT(10)
#define APIC_BASE_ENABLE	BIT(11)
#define APIC_BASE_PAGE		FIELD(51, 12)

/*
 * Local registers by number: MSR 0x800 + n in x2APIC mode, offset 16 n of the page in xAPIC mode (SDM vol. 3, table
 * "Local APIC Register Address Map Supported by x2APIC").
 */
enum apic_reg {
	APIC_ID = 0x02, APIC_VERSION = 0x03, APIC_TPR = 0x08, APIC_APR = 0x09, APIC_PPR = 0x0a, APIC_EOI = 0x0b,
	APIC_RRD = 0x0c, APIC_LDR = 0x0d, APIC_DFR = 0x0e, APIC_SVR = 0x0f, APIC_ISR = 0x10, APIC_TMR = 0x18,
	APIC_IRR = 0x20, APIC_ESR = 0x28, APIC_LVT_CMCI = 0x2f, APIC_ICR = 0x30, APIC_ICR_HIGH = 0x31,
	APIC_LVT_TIMER = 0x32, APIC_LVT_THERMAL = 0x33, APIC_LVT_PERF = 0x34, APIC_LVT_LINT0 = 0x35,
	APIC_LVT_LINT1 = 0x36, APIC_LVT_ERROR = 0x37, APIC_INITIAL = 0x38, APIC_CURRENT = 0x39,
	APIC_DIVIDE = 0x3e, APIC_SELF_IPI = 0x3f, APIC_REGS = 0x40,
};
#define APIC_REG_BYTES		16U

/* Delivery modes, in the ICR, LVT entries and redirection entries. */
enum apic_mode {
	APIC_FIXED = 0, APIC_LOWEST = 1, APIC_SMI = 2, APIC_NMI = 4, APIC_INIT = 5, APIC_SIPI = 6, APIC_EXTINT = 7,
};

/* Interrupt command register, SDM vol. 3, 11.6.1 */
enum icr_shorthand { ICR_TO_DEST, ICR_TO_SELF, ICR_TO_ALL, ICR_TO_OTHERS };
#define ICR_VECTOR		FIELD(7, 0)	/* of a SIPI: the number of a page */
#define ICR_MODE		FIELD(10, 8)
#define ICR_MODE_OF(mode)	((uint64_t)(mode) << 8)
#define ICR_LOGICAL		BIT(11)
#define ICR_PENDING		BIT(12)		/* xAPIC: not yet sent */
#define ICR_ASSERT		BIT(14)
#define ICR_LEVEL		BIT(15)
#define ICR_SHORTHAND		FIELD(19, 18)
#define ICR_DEST_XAPIC		FIELD(63, 56)
#define ICR_DEST_X2APIC		FIELD(63, 32)
#define BROADCAST_8		0xffU		/* a physical destination: everybody */
#define BROADCAST_32		0xffffffffU
#define XAPIC_ID		FIELD(31, 24)
#define XAPIC_ID_MAX		254U

/* Local vector table, SDM vol. 3, 11.5.1 */
#define LVT_VECTOR		0x000000ffU
#define LVT_MODE		0x00000700U
#define LVT_MODE_SHIFT		8
#define LVT_REMOTE_IRR		0x00004000U
#define LVT_LEVEL		0x00008000U
#define LVT_MASKED		0x00010000U
#define LVT_TIMER_MODE		0x00060000U	/* 0: one-shot */
#define LVT_PERIODIC		0x00020000U
#define LVT_DEADLINE		0x00040000U

#define LAPIC_VERSION		0x14U		/* 1xH: integrated into the processor */
#define LAPIC_VECTOR_MIN	16U		/* lower ones are exceptions: an error, never delivered */
#define X2APIC_MSRS		0x800U		/* the MSR of register 0 */

#define SVR_ENABLE		0x00000100U
#define ESR_SEND_ILLEGAL	0x20U
#define ESR_RECEIVE_ILLEGAL	0x40U
#define ESR_REGISTER_ILLEGAL	0x80U

/* I/O APIC: offsets of its page, registers behind the index, a redirection entry of two registers each. */
#define IOAPIC_INDEX		0x00U
#define IOAPIC_DATA		0x10U
#define IOAPIC_EOI		0x40U		/* of later chip sets */
#define IOAPIC_REG_ID		0x00U
#define IOAPIC_REG_VERSION	0x01U
#define IOAPIC_REG_ARB		0x02U
#define IOAPIC_REG_REDIR	0x10U
#define IOAPIC_VERSION		0x20U		/* the one that has an EOI register */
#define IOAPIC_VERSION_LAST	FIELD(23, 16)	/* the highest entry */
#define REDIR_VECTOR		FIELD(7, 0)
#define REDIR_MODE		FIELD(10, 8)
#define REDIR_LOGICAL		BIT(11)
#define REDIR_REMOTE_IRR	BIT(14)
#define REDIR_LEVEL		BIT(15)
#define REDIR_MASKED		BIT(16)
#define REDIR_DEST		FIELD(63, 56)
