/* SPDX-License-Identifier: MIT */
/*
 * Local APIC: interrupts that are requested, served and ended, and the modes of the APIC itself (lapic.h).
 * The registers are in lapic_regs.c, the timer in lapic_timer.c.
 *
 * Invariants: irr_count is the number of bits in irr; bit n of irr_words (isr_words) says whether word n of
 * irr (isr) is not 0. Whoever makes something deliverable calls kick, so that the run loop may look only
 * then: a new IRR bit, an EOI or a lower TPR with requests left.
 *
 * SDM vol. 3, "Handling Interrupts" and "Local APIC State" in the APIC chapter.
 */
#include "hv/dev/lapic.h"

#include "hv/dev/ioapic.h"
#include "hv/dev/lapic_regs.h"
#include "hv/lib/string.h"

#define VECTORS_PER_WORD 32U
#define NO_VECTOR	(-1)

#define DFR_RESET	0xffffffffU
#define SVR_RESET	0x000000ffU
#define SVR_FIRMWARE	(SVR_ENABLE | 0x0fU)
#define BROADCAST_8	0xffU
#define BROADCAST_32	0xffffffffU
#define XAPIC_LDR_SHIFT	24
#define MODEL_SHIFT	28
#define MODEL_FLAT	0xfU
#define MODEL_CLUSTER	0x0U
#define CLUSTER_BITS	0xfU
#define CLUSTER_SHIFT	4
#define X2_CLUSTER_SHIFT 16
#define X2_LOGICAL_BITS	0xffffU
#define X2_ID_BITS	0xfU

/* ---- Sets of vectors ---- */

static uint32_t vector_bit(unsigned vector)
{
	return 1U << (vector % VECTORS_PER_WORD);
}

static bool set_has(const uint32_t *set, unsigned vector)
{
	return set[vector / VECTORS_PER_WORD] & vector_bit(vector);
}

static void set_add(uint32_t *set, uint32_t *words, unsigned vector)
{
	set[vector / VECTORS_PER_WORD] |= vector_bit(vector);
	*words |= 1U << (vector / VECTORS_PER_WORD);
}

static void set_remove(uint32_t *set, uint32_t *words, unsigned vector)
{
	unsigned word = vector / VECTORS_PER_WORD;

	set[word] &= ~vector_bit(vector);
	if (!set[word])
		*words &= ~(1U << word);
}

static unsigned top_bit(uint32_t word)
{
	return VECTORS_PER_WORD - 1 - (unsigned)__builtin_clz(word);
}

static int set_highest(const uint32_t *set, uint32_t words)
{
	unsigned word;

	if (!words)
		return NO_VECTOR;
	word = top_bit(words);
	return (int)(word * VECTORS_PER_WORD + top_bit(set[word]));
}

/* ---- Requested, served, ended ---- */

/* The class below or at which nothing interrupts: the task's or that of the vector in service. */
static unsigned served_class(const struct lapic *lapic)
{
	int served = set_highest(lapic->isr, lapic->isr_words);
	unsigned task = lapic->tpr >> LAPIC_CLASS_SHIFT;
	unsigned class = served < 0 ? 0 : (unsigned)served >> LAPIC_CLASS_SHIFT;

	return class > task ? class : task;
}

uint8_t lapic_ppr(const struct lapic *lapic)
{
	unsigned class = served_class(lapic);

	if (class == lapic->tpr >> LAPIC_CLASS_SHIFT)
		return (uint8_t)lapic->tpr;
	return (uint8_t)(class << LAPIC_CLASS_SHIFT);
}

int lapic_pending(const struct lapic *lapic)
{
	int vector;

	if (!lapic->irr_count)
		return NO_VECTOR;
	vector = set_highest(lapic->irr, lapic->irr_words);
	return (unsigned)vector >> LAPIC_CLASS_SHIFT > served_class(lapic) ? vector : NO_VECTOR;
}

void lapic_accept(struct lapic *lapic, uint8_t vector)
{
	if (!set_has(lapic->irr, vector))
		return;
	set_remove(lapic->irr, &lapic->irr_words, vector);
	lapic->irr_count--;
	set_add(lapic->isr, &lapic->isr_words, vector);
}

void lapic_eoi(struct lapic *lapic)
{
	int vector = set_highest(lapic->isr, lapic->isr_words);

	if (vector < 0)
		return;
	set_remove(lapic->isr, &lapic->isr_words, (unsigned)vector);
	if (set_has(lapic->tmr, (unsigned)vector))
		lapic->env->eoi(lapic->ctx, (uint8_t)vector);
	if (lapic->irr_count)
		lapic->env->kick(lapic->ctx);
}

static void lapic_request(struct lapic *lapic, unsigned vector, bool is_level)
{
	uint32_t bit = vector_bit(vector), *tmr = &lapic->tmr[vector / VECTORS_PER_WORD];

	*tmr = is_level ? *tmr | bit : *tmr & ~bit;
	if (set_has(lapic->irr, vector))
		return;
	set_add(lapic->irr, &lapic->irr_words, vector);
	lapic->irr_count++;
	lapic->env->kick(lapic->ctx);
}

/*
 * Record an error and raise the error interrupt once per ESR clearing. An error vector that is itself
 * illegal raises nothing: one error must not cause the next (the deadlock in an APIC's error path).
 */
void lapic_error(struct lapic *lapic, uint32_t esr_bit)
{
	uint32_t lvt = lapic->lvt[LVT_ERROR];

	if (lapic->esr_latch & esr_bit)
		return;
	lapic->esr_latch |= esr_bit;
	if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= LAPIC_VECTOR_MIN && lapic_is_enabled(lapic))
		lapic_request(lapic, lvt & LVT_VECTOR, false);
}

void lapic_post(struct lapic *lapic, uint8_t vector, bool is_level)
{
	if (!lapic_is_enabled(lapic))
		return;
	if (vector < LAPIC_VECTOR_MIN)
		lapic_error(lapic, ESR_RECEIVE_ILLEGAL);
	else
		lapic_request(lapic, vector, is_level);
}

void lapic_set_tpr(struct lapic *lapic, uint8_t tpr)
{
	bool is_lower = tpr < lapic->tpr;

	lapic->tpr = tpr;
	if (is_lower && lapic->irr_count)
		lapic->env->kick(lapic->ctx);
}

uint64_t lapic_cr8_read(const struct lapic *lapic)
{
	return lapic->tpr >> LAPIC_CLASS_SHIFT;
}

void lapic_cr8_write(struct lapic *lapic, uint64_t value)
{
	lapic_set_tpr(lapic, (uint8_t)(value << LAPIC_CLASS_SHIFT));
}

/* ---- Messages ---- */

void lapic_send(struct lapic *lapic)
{
	uint64_t icr = lapic->icr;
	unsigned mode = ((uint32_t)icr & ICR_MODE) >> ICR_MODE_SHIFT;
	uint8_t vector = (uint8_t)icr;

	if (mode <= APIC_LOWEST && vector < LAPIC_VECTOR_MIN)
		lapic_error(lapic, ESR_SEND_ILLEGAL);
	else if (mode == APIC_FIXED && (icr & ICR_SHORTHAND) == ICR_SELF)
		lapic_post(lapic, vector, false);
	else
		lapic->env->ipi(lapic->ctx, lapic, icr);
}

/* SDM vol. 3, "Logical Destination Mode": flat and cluster model; x2APIC has clusters of 16 only. */
static bool matches_logical(const struct lapic *lapic, uint32_t dest)
{
	uint32_t ldr = lapic->ldr >> XAPIC_LDR_SHIFT;

	if (lapic_is_x2apic(lapic))
		return dest >> X2_CLUSTER_SHIFT == lapic->ldr >> X2_CLUSTER_SHIFT &&
		       (dest & lapic->ldr & X2_LOGICAL_BITS);
	if (dest == BROADCAST_8)
		return true;
	if (lapic->dfr >> MODEL_SHIFT == MODEL_FLAT)
		return dest & ldr;
	if (lapic->dfr >> MODEL_SHIFT != MODEL_CLUSTER)
		return false;
	return dest >> CLUSTER_SHIFT == ldr >> CLUSTER_SHIFT && (dest & ldr & CLUSTER_BITS);
}

bool lapic_matches(const struct lapic *lapic, uint32_t dest, bool is_logical)
{
	if (dest == BROADCAST_32)
		return true;
	if (is_logical)
		return matches_logical(lapic, dest);
	return dest == lapic->id || (dest == BROADCAST_8 && !lapic_is_x2apic(lapic));
}

bool lapic_takes_extint(const struct lapic *lapic)
{
	uint32_t lint0 = lapic->lvt[LVT_LINT0];

	/* Switched off, the APIC's LINT0 is the processor's INTR pin. */
	if (!(lapic->base_msr & BASE_EN))
		return true;
	return !(lint0 & LVT_MASKED) && (lint0 & LVT_MODE) >> LVT_MODE_SHIFT == APIC_EXTINT;
}

/* ---- Modes ---- */

bool lapic_is_enabled(const struct lapic *lapic)
{
	return (lapic->base_msr & BASE_EN) && (lapic->svr & SVR_ENABLE);
}

bool lapic_is_x2apic(const struct lapic *lapic)
{
	return lapic->base_msr & BASE_EXTD;
}

/* x2APIC: the logical ID is fixed, 16 processors a cluster (SDM vol. 3, "Deriving Logical x2APIC ID"). */
static uint32_t x2apic_ldr(uint32_t id)
{
	return (id >> CLUSTER_SHIFT) << X2_CLUSTER_SHIFT | 1U << (id & X2_ID_BITS);
}

bool lapic_base_write(struct lapic *lapic, uint64_t value)
{
	uint64_t old_mode = lapic->base_msr & (BASE_EN | BASE_EXTD);
	uint64_t mode = value & (BASE_EN | BASE_EXTD);

	/* The page stays where it is, and the boot processor remains what it is. */
	if ((value & ~(BASE_EN | BASE_EXTD | BASE_BSP)) != LAPIC_BASE)
		return false;
	if (mode == BASE_EXTD)
		return false;
	if (mode == (BASE_EN | BASE_EXTD) && !old_mode)
		return false;		/* x2APIC is entered through xAPIC only... */
	if (mode == BASE_EN && (old_mode & BASE_EXTD))
		return false;		/* ...and left through "disabled" only */
	if (mode == old_mode)
		return true;

	if (!mode)
		lapic_reset(lapic, true);	/* all but ID and base is lost */
	lapic->base_msr = LAPIC_BASE | mode | (lapic->base_msr & BASE_BSP);
	lapic->icr = 0;
	lapic->ldr = mode & BASE_EXTD ? x2apic_ldr(lapic->id) : 0;
	lapic->env->kick(lapic->ctx);	/* the 8259's way to the processor may have changed */
	return true;
}

void lapic_reset(struct lapic *lapic, bool is_init)
{
	bool is_boot = lapic->id == 0;

	memset(lapic->irr, 0, sizeof(lapic->irr));
	memset(lapic->isr, 0, sizeof(lapic->isr));
	memset(lapic->tmr, 0, sizeof(lapic->tmr));
	lapic->irr_count = lapic->irr_words = lapic->isr_words = 0;
	lapic->tpr = lapic->esr = lapic->esr_latch = 0;
	lapic->icr = 0;
	lapic->dfr = DFR_RESET;
	lapic->svr = SVR_RESET;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		lapic->lvt[i] = LVT_MASKED;
	lapic_timer_reset(lapic);

	if (!is_init)
		lapic->base_msr = LAPIC_BASE | BASE_EN | (is_boot ? BASE_BSP : 0);
	lapic->ldr = lapic_is_x2apic(lapic) ? x2apic_ldr(lapic->id) : 0;
	/*
	 * There is no firmware, so the boot processor starts as firmware leaves it: "virtual wire", the 8259
	 * on LINT0 and NMI on LINT1 (MultiProcessor Specification, 3.6.2.2). Kernels that know no APIC need it.
	 */
	if (!is_init && is_boot) {
		lapic->svr = SVR_FIRMWARE;
		lapic->lvt[LVT_LINT0] = (uint32_t)APIC_EXTINT << LVT_MODE_SHIFT;
		lapic->lvt[LVT_LINT1] = (uint32_t)APIC_NMI << LVT_MODE_SHIFT;
	}
}

void lapic_init(struct lapic *lapic, uint32_t id, const struct lapic_env *env, void *ctx)
{
	memset(lapic, 0, sizeof(*lapic));
	lapic->id = id;
	lapic->env = env;
	lapic->ctx = ctx;
	lapic_timer_init(lapic);
	lapic_reset(lapic, false);
}

void lapic_destroy(struct lapic *lapic)
{
	timer_disarm(&lapic->timer);
}
