/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The guest's local APIC: xAPIC registers in a 4 KiB MMIO page, the same as MSRs in x2APIC mode, the timer
 * in one-shot, periodic and TSC-deadline mode (SDM vol. 3, chapter 11 "Advanced Programmable Interrupt
 * Controller"). A struct, a reset, a read and a write; everything it needs of the world is in lapic_env.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/apic.h"
#include "hv/lib/shared.h"
#include "hv/vm_clock.h"

/* The crystal of CPUID leaf 0x15: Linux takes it as the timer's clock. */
#define LAPIC_TIMER_HZ	10000000ULL

/* Below 16: an error, for whoever sends or receives one. */
static inline bool lapic_vector_is_illegal(uint32_t vector)
{
	return vector < LAPIC_VECTOR_MIN;
}

struct lapic;
struct lapic_page;

struct lapic_env {
	void (*kick)(void *ctx);		/* something pending changed: wake the vCPU and have it look */
	void (*nmi)(void *ctx);			/* LINT0 rose, and its LVT entry says NMI */
	/* An ICR write that leaves this processor, as the register holds it (xAPIC: bits 63:56 name the target). */
	void (*ipi)(void *ctx, const struct lapic *from, uint64_t icr);
	void (*eoi)(void *ctx, uint8_t vector);	/* a level-triggered vector was ended: tell the I/O APIC */
	uint8_t (*extint)(void *ctx);		/* LINT0 asks in mode ExtINT: acknowledge the 8259, take its vector */
	/*
	 * A vector was taken that nobody has to hear the end of: tell the guest that it may end it without an exit
	 * (arch/x86/pv/eoi.h). False: it could not be told. Before the APIC changes or tells what is in service it withdraws
	 * the offer, and hears whether the guest had accepted it.
	 */
	bool (*offer_eoi)(void *ctx);
	bool (*withdraw_eoi)(void *ctx);
};

struct lapic_state {
	uint64_t base_msr;		/* IA32_APIC_BASE: BSP bit set for id 0 only */
	uint64_t icr;
	uint64_t timer_start;		/* VM's clock when the count began; may lie before its zero, modulo 2^64 */
	uint64_t tsc_deadline;		/* guest TSC, 0 = off */
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t tpr, ldr, dfr, svr;	/* as base_msr: other vCPUs read these (request.h) */
	uint32_t esr, esr_latch;
	uint32_t lvt[7];		/* CMCI, timer, thermal, performance, LINT0, LINT1, error */
	uint32_t timer_initial, timer_divide;
	bool     timer_counts;		/* not while it is 0: never started, stopped, or one-shot and expired */
	bool     lint0_is_high;		/* the 8259's INT output, where it is wired to this APIC */
	bool     eoi_is_offered;	/* the guest may have ended the highest vector in service: lapic_settle */
};

struct lapic {
	struct lapic_state s;
	uint32_t id;
	uint32_t irr_words, isr_words;	/* bit n: word n of irr, isr is not 0: no scan for the highest; irr_words 0: nothing is requested */
	const struct lapic_env *env;
	void    *ctx;			/* for env's functions */
	const struct vm_clock *clock;
	const uint64_t *tsc_offset;	/* the guest's TSC is the VM's clock plus this */
	struct timer timer;
	/*
	 * Where the truth about IRR, ISR, TMR and TPR is. NULL: in s, and what is requested is injected. Else in this page and
	 * nowhere else, the processor delivers (lapic_page.h), and irr_words is not 0 so that whoever asks comes to look.
	 */
	struct lapic_page *page;
	bool     is_elsewhere;		/* an EOI is offered, or there is a page: s does not know what the guest has done */
	bool     levels_changed;	/* with a page: what lapic_take_news tells, */
	uint8_t  requested;		/* and this */
	bool     timer_waits;		/* not armed for a periodic count's next period until its vector is taken */
};

void lapic_init(struct lapic *lapic, uint32_t id, const struct lapic_env *env, void *ctx,
		const struct vm_clock *clock, const uint64_t *tsc_offset);
void lapic_after_load(void *dev);
void lapic_reset(struct lapic *lapic, bool is_init);	/* INIT keeps the ID and base MSR */

/* bus callbacks for the xAPIC page (dev = struct lapic *); 4-byte accesses at 16-byte steps. */
uint64_t lapic_mmio_read(void *dev, uint64_t offset, unsigned size);
void     lapic_mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value);

/* x2APIC MSRs 0x800..0x8ff; false = #GP (reserved register, wrong mode, reserved bits). */
__attribute__((warn_unused_result)) bool lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value);
__attribute__((warn_unused_result)) bool lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value);
/* IA32_APIC_BASE; false = #GP (illegal mode transition, SDM 11.12.5). */
__attribute__((warn_unused_result)) bool lapic_base_write(struct lapic *lapic, uint64_t value);
/* IA32_TSC_DEADLINE; it reads s.tsc_deadline. */
void     lapic_deadline_write(struct lapic *lapic, uint64_t guest_tsc);
/* Around each change of *tsc_offset: a deadline that has passed has fired; one that has not is nearer or farther now. */
void     lapic_timer_settle(struct lapic *lapic);
void     lapic_tsc_moved(struct lapic *lapic);

bool lapic_is_enabled(const struct lapic *lapic);	/* base MSR and SVR */
static inline bool lapic_is_x2apic(const struct lapic *lapic)
{
	return shared_read64(&lapic->s.base_msr) & APIC_BASE_X2APIC;
}
uint64_t lapic_cr8_read(const struct lapic *lapic);
void lapic_cr8_write(struct lapic *lapic, uint64_t value);

/* Set a vector pending (fixed delivery). */
void lapic_post(struct lapic *lapic, uint8_t vector, bool is_level);
/*
 * The same for vectors first + bit of a set. Their senders knew that the APIC was enabled; it may be switched
 * off since.
 */
void lapic_merge(struct lapic *lapic, unsigned first, uint64_t vectors, bool is_level);
/* Does an 8-bit (or, in x2APIC mode, 32-bit) destination name this APIC? */
bool lapic_matches(const struct lapic *lapic, uint32_t dest, bool is_logical);
/*
 * Highest vector that may interrupt now (above the processor priority), or -1. If the answer depends on an offered EOI, it is
 * settled first.
 */
int  lapic_pending(struct lapic *lapic);
/* IRR to ISR: the processor took it. Behind lapic_settle: what was offered is the end of the highest in service, which now changes. */
void lapic_accept(struct lapic *lapic, uint8_t vector);
/* Behind lapic_accept, for a guest that wants it: it may end this vector without an exit. */
void lapic_offer_eoi(struct lapic *lapic, uint8_t vector);
/* What has the guest done to its vectors without an exit? Behind this s says what is requested and in service. */
void lapic_settle_elsewhere(struct lapic *lapic);	/* only while it is elsewhere */
static inline void lapic_settle(struct lapic *lapic)
{
	if (lapic->is_elsewhere)
		lapic_settle_elsewhere(lapic);
}
void lapic_from_page(struct lapic *lapic);		/* take IRR, ISR, TMR and TPR back from the page, if there is one; an offered EOI stays offered */
uint32_t lapic_task_priority(const struct lapic *lapic);	/* TPR, wherever it is: for any processor */
/* The level of the pin LINT0, by the LVT entry's mode an interrupt, an NMI, or the 8259 asking for an acknowledge. */
void lapic_set_lint0(struct lapic *lapic, bool is_high);
/* LINT0 as ExtINT and unmasked, or APIC disabled: the 8259 gets through. */
bool lapic_takes_extint(const struct lapic *lapic);
/* LINT0 as NMI and unmasked: a rise wakes also a vCPU that has interrupts off. For any processor (request.h). */
bool lapic_lint0_is_nmi(const struct lapic *lapic);
