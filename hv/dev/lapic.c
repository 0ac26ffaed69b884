/* SPDX-License-Identifier: MIT */
/*
 * Local APIC: interrupts that are requested, served and ended, and the modes of the APIC itself (lapic.h).
 * The registers are in lapic_regs.c, the timer in lapic_timer.c, the 8259's wire in lapic_lint0.c, and what differs where
 * the processor delivers in lapic_page.c.
 *
 * Invariants: bit n of irr_words (isr_words) says whether word n of irr (isr) is not 0. Whoever makes something deliverable calls kick, so that the run loop may look only
 * then: a new IRR bit, an EOI or a lower TPR with requests left. The guest may end an edge without an exit: that is
 * offered only while nothing else is requested. A new request looks whether it has, unless it goes before the one in
 * service anyhow; so an EOI that nobody saw has made nothing deliverable.
 *
 * SDM vol. 3, "Handling Interrupts" and "Local APIC State" in the APIC chapter.
 */
#include "hv/dev/lapic.h"

#include "hv/dev/lapic_regs.h"
#include "hv/lib/shared.h"
#include "hv/lib/string.h"
#include "hv/state.h"

#define NO_VECTOR	(-1)
#define LOW_VECTORS	((1U << LAPIC_VECTOR_MIN) - 1)

#define DFR_RESET	0xffffffffU
#define SVR_RESET	0x000000ffU
#define SVR_FIRMWARE	(SVR_ENABLE | 0x0fU)
#define XAPIC_LDR_SHIFT	24
#define LDR_XAPIC	0xff000000U
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
	return (VECTORS_PER_WORD - 1) ^ (unsigned)__builtin_clz(word);	/* minus, in one instruction */
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

/*
 * The class of the processor priority: vectors of this class and below wait. The higher of the task's and that of the
 * vector in service.
 */
static unsigned served_class(const struct lapic *lapic)
{
	int served = set_highest(lapic->s.isr, lapic->isr_words);
	unsigned task = lapic->s.tpr >> LAPIC_CLASS_SHIFT;
	unsigned class = served < 0 ? 0 : (unsigned)served >> LAPIC_CLASS_SHIFT;

	return class > task ? class : task;
}

/* The offer ends. Had the guest accepted it? */
static bool withdraw_offer(struct lapic *lapic)
{
	lapic->s.eoi_is_offered = lapic->is_elsewhere = false;
	return lapic->env->withdraw_eoi(lapic->ctx);
}

uint8_t lapic_ppr(const struct lapic *lapic)
{
	unsigned class = served_class(lapic);

	if (class == lapic->s.tpr >> LAPIC_CLASS_SHIFT)
		return (uint8_t)lapic->s.tpr;
	return (uint8_t)(class << LAPIC_CLASS_SHIFT);
}

/* The highest that is requested, if its class is above all that s knows of. For irr_words other than 0. */
static int above_priority(const struct lapic *lapic)
{
	int vector = set_highest(lapic->s.irr, lapic->irr_words);

	return (unsigned)vector >> LAPIC_CLASS_SHIFT > served_class(lapic) ? vector : NO_VECTOR;
}

/* Apart, or each call of lapic_pending would save registers for it. */
__attribute__((noinline)) static int pending_elsewhere(struct lapic *lapic)
{
	int vector;

	if (lapic->page)
		return lapic_page_pending(lapic);
	vector = above_priority(lapic);
	if (vector >= 0)
		return vector;		/* it waits for no end: what is offered stands until it is taken */
	lapic_settle_elsewhere(lapic);
	return above_priority(lapic);
}

int lapic_pending(struct lapic *lapic)
{
	if (!lapic->irr_words)
		return NO_VECTOR;
	return lapic->is_elsewhere ? pending_elsewhere(lapic) : above_priority(lapic);
}

bool lapic_is_requested(const struct lapic *lapic, uint8_t vector)
{
	return lapic->page ? lapic_page_is_requested(lapic, vector) : set_has(lapic->s.irr, vector);
}

void lapic_accept(struct lapic *lapic, uint8_t vector)
{
	if (!set_has(lapic->s.irr, vector))
		return;
	set_remove(lapic->s.irr, &lapic->irr_words, vector);
	set_add(lapic->s.isr, &lapic->isr_words, vector);
	if (lapic->timer_waits && vector == (lapic->s.lvt[LVT_TIMER] & LVT_VECTOR))
		lapic_timer_go_on(lapic);
}

/* Not when something waits for the end: the I/O APIC, or an interrupt that the exit for EOI would deliver. */
void lapic_offer_eoi(struct lapic *lapic, uint8_t vector)
{
	if (!lapic->irr_words && !set_has(lapic->s.tmr, vector))
		lapic->s.eoi_is_offered = lapic->is_elsewhere = lapic->env->offer_eoi(lapic->ctx);
}

void lapic_level_ended(struct lapic *lapic, uint8_t vector)
{
	lapic_lint0_ended(lapic, vector);
	lapic->env->eoi(lapic->ctx, vector);
}

static void end_highest(struct lapic *lapic)
{
	int vector = set_highest(lapic->s.isr, lapic->isr_words);

	if (vector < 0)
		return;
	set_remove(lapic->s.isr, &lapic->isr_words, (unsigned)vector);
	if (set_has(lapic->s.tmr, (unsigned)vector))
		lapic_level_ended(lapic, (uint8_t)vector);
}

void lapic_settle_elsewhere(struct lapic *lapic)
{
	if (lapic->page)
		lapic_from_page(lapic);
	else if (withdraw_offer(lapic))
		end_highest(lapic);
}

void lapic_eoi(struct lapic *lapic)
{
	lapic_settle(lapic);
	if (!lapic->isr_words)
		return;
	end_highest(lapic);
	if (lapic->irr_words)
		lapic->env->kick(lapic->ctx);
}

static void lapic_request(struct lapic *lapic, unsigned vector, bool is_level)
{
	uint32_t bit = vector_bit(vector), *tmr = &lapic->s.tmr[vector / VECTORS_PER_WORD];

	if (lapic->page) {
		lapic_page_request(lapic, (uint8_t)vector, is_level);
		return;
	}
	if (is_level)
		lapic_settle(lapic);	/* before TMR says level: else the end of an offered edge would go to the I/O APIC */
	*tmr = is_level ? *tmr | bit : *tmr & ~bit;
	if (set_has(lapic->s.irr, vector))
		return;
	set_add(lapic->s.irr, &lapic->irr_words, vector);
	lapic->env->kick(lapic->ctx);
}

/*
 * Record an error and raise the error interrupt once per ESR clearing. An error vector that is itself
 * illegal raises nothing: one error must not cause the next (the deadlock in an APIC's error path).
 */
void lapic_error(struct lapic *lapic, uint32_t esr_bit)
{
	uint32_t lvt = lapic->s.lvt[LVT_ERROR];

	if (lapic->s.esr_latch & esr_bit)
		return;
	lapic->s.esr_latch |= esr_bit;
	if (!(lvt & LVT_MASKED) && !lapic_vector_is_illegal(lvt & LVT_VECTOR) && lapic_is_enabled(lapic))
		lapic_request(lapic, lvt & LVT_VECTOR, false);
}

void lapic_post(struct lapic *lapic, uint8_t vector, bool is_level)
{
	if (!lapic_is_enabled(lapic))
		return;
	if (lapic_vector_is_illegal(vector))
		lapic_error(lapic, ESR_RECEIVE_ILLEGAL);
	else
		lapic_request(lapic, vector, is_level);
}

void lapic_merge(struct lapic *lapic, unsigned first, uint64_t vectors, bool is_level)
{
	if (!(lapic->s.base_msr & APIC_BASE_ENABLE))
		return;
	for (; vectors; vectors &= vectors - 1) {
		unsigned vector = first + (unsigned)__builtin_ctzll(vectors);

		if (lapic_vector_is_illegal(vector))
			lapic_error(lapic, ESR_RECEIVE_ILLEGAL);
		else
			lapic_request(lapic, vector, is_level);
	}
}

void lapic_set_tpr(struct lapic *lapic, uint8_t tpr)
{
	bool is_lower;

	if (lapic->page)
		lapic_from_page(lapic);
	is_lower = tpr < lapic->s.tpr;
	shared_write32(&lapic->s.tpr, tpr);
	if (is_lower && lapic->irr_words)
		lapic->env->kick(lapic->ctx);
}

uint64_t lapic_cr8_read(const struct lapic *lapic)
{
	return lapic_task_priority(lapic) >> LAPIC_CLASS_SHIFT;
}

void lapic_cr8_write(struct lapic *lapic, uint64_t value)
{
	lapic_set_tpr(lapic, (uint8_t)(value << LAPIC_CLASS_SHIFT));
}

/* ---- Messages ---- */

void lapic_send(struct lapic *lapic)
{
	uint64_t icr = lapic->s.icr;
	enum apic_mode mode = (enum apic_mode)field_get(icr, ICR_MODE);
	uint8_t vector = (uint8_t)icr;

	if (mode <= APIC_LOWEST && lapic_vector_is_illegal(vector))
		lapic_error(lapic, ESR_SEND_ILLEGAL);
	else if (mode == APIC_FIXED && field_get(icr, ICR_SHORTHAND) == ICR_TO_SELF)
		lapic_post(lapic, vector, false);
	else
		lapic->env->ipi(lapic->ctx, lapic, icr);
}

/* SDM vol. 3, "Logical Destination Mode": flat and cluster model; x2APIC has clusters of 16 only. */
static bool matches_logical(const struct lapic *lapic, uint32_t dest)
{
	uint32_t wide = shared_read32(&lapic->s.ldr), ldr = wide >> XAPIC_LDR_SHIFT;
	uint32_t model = shared_read32(&lapic->s.dfr) >> MODEL_SHIFT;

	if (lapic_is_x2apic(lapic))
		return dest >> X2_CLUSTER_SHIFT == wide >> X2_CLUSTER_SHIFT && (dest & wide & X2_LOGICAL_BITS);
	if (dest == BROADCAST_8)
		return true;
	if (model == MODEL_FLAT)
		return dest & ldr;
	if (model != MODEL_CLUSTER)
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

/* ---- Modes ---- */

bool lapic_is_enabled(const struct lapic *lapic)
{
	return (shared_read64(&lapic->s.base_msr) & APIC_BASE_ENABLE) && (shared_read32(&lapic->s.svr) & SVR_ENABLE);
}

/* x2APIC: the logical ID is fixed, 16 processors a cluster (SDM vol. 3, "Deriving Logical x2APIC ID"). */
static uint32_t x2apic_ldr(uint32_t id)
{
	return (id >> CLUSTER_SHIFT) << X2_CLUSTER_SHIFT | 1U << (id & X2_ID_BITS);
}

bool lapic_base_write(struct lapic *lapic, uint64_t value)
{
	uint64_t old_mode = lapic->s.base_msr & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	uint64_t mode = value & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);

	if (value & ~(APIC_BASE_PAGE | APIC_BASE_ENABLE | APIC_BASE_X2APIC | APIC_BASE_BSP))
		return false;
	if (mode == APIC_BASE_X2APIC)
		return false;
	if (mode == (APIC_BASE_ENABLE | APIC_BASE_X2APIC) && !old_mode)
		return false;		/* x2APIC is entered through xAPIC only... */
	if (mode == APIC_BASE_ENABLE && (old_mode & APIC_BASE_X2APIC))
		return false;		/* ...and left through "disabled" only */
	/* The page moves, in any mode; the boot processor remains what it is. */
	shared_write64(&lapic->s.base_msr, (lapic->s.base_msr & ~APIC_BASE_PAGE) | (value & APIC_BASE_PAGE));
	if (mode == old_mode)
		return true;

	if (!mode)
		lapic_reset(lapic, true);	/* all but ID and base is lost */
	shared_write64(&lapic->s.base_msr, (lapic->s.base_msr & (APIC_BASE_PAGE | APIC_BASE_BSP)) | mode);
	lapic->s.icr = 0;
	shared_write32(&lapic->s.ldr, mode & APIC_BASE_X2APIC ? x2apic_ldr(lapic->id) : 0);
	lapic->env->kick(lapic->ctx);	/* whether the 8259 reaches the processor may have changed */
	return true;
}

void lapic_reset(struct lapic *lapic, bool is_init)
{
	bool is_boot = lapic->id == 0;

	if (lapic->s.eoi_is_offered)
		(void)withdraw_offer(lapic);
	lapic_forget_page(lapic);
	memset(lapic->s.irr, 0, sizeof(lapic->s.irr));
	memset(lapic->s.isr, 0, sizeof(lapic->s.isr));
	memset(lapic->s.tmr, 0, sizeof(lapic->s.tmr));
	lapic->irr_words = lapic->isr_words = 0;
	lapic->s.esr = lapic->s.esr_latch = 0;
	lapic->s.icr = 0;
	shared_write32(&lapic->s.tpr, 0);
	shared_write32(&lapic->s.dfr, DFR_RESET);
	shared_write32(&lapic->s.svr, SVR_RESET);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		lapic->s.lvt[i] = LVT_MASKED;
	lapic_timer_reset(lapic);

	if (!is_init)
		shared_write64(&lapic->s.base_msr, LAPIC_BASE | APIC_BASE_ENABLE | (is_boot ? APIC_BASE_BSP : 0));
	shared_write32(&lapic->s.ldr, lapic_is_x2apic(lapic) ? x2apic_ldr(lapic->id) : 0);
	/*
	 * There is no firmware, so the boot processor starts as firmware leaves it: "virtual wire", the 8259
	 * on LINT0 and NMI on LINT1 (MultiProcessor Specification, 3.6.2.2). Kernels that know no APIC need it.
	 */
	if (!is_init && is_boot) {
		shared_write32(&lapic->s.svr, SVR_FIRMWARE);
		lapic->s.lvt[LVT_LINT0] = (uint32_t)APIC_EXTINT << LVT_MODE_SHIFT;
		lapic->s.lvt[LVT_LINT1] = (uint32_t)APIC_NMI << LVT_MODE_SHIFT;
	}
}

static uint32_t set_words(const uint32_t *set)
{
	uint32_t words = 0;

	for (unsigned i = 0; i < VECTOR_WORDS; i++)
		words |= set[i] ? 1U << i : 0;
	return words;
}

void lapic_sum_up(struct lapic *lapic)
{
	lapic->irr_words = set_words(lapic->s.irr);
	lapic->isr_words = set_words(lapic->s.isr);
}

static bool serves_edge(const struct lapic *lapic)
{
	int vector = set_highest(lapic->s.isr, lapic->isr_words);

	return vector >= 0 && !set_has(lapic->s.tmr, (unsigned)vector);
}

void lapic_after_load(void *dev)
{
	struct lapic *lapic = dev;
	struct lapic_state *s = &lapic->s;

	state_fix_bool(&s->lint0_is_high);
	state_fix_bool(&s->eoi_is_offered);
	s->base_msr &= APIC_BASE_PAGE | APIC_BASE_ENABLE | APIC_BASE_X2APIC;
	s->base_msr |= lapic->id ? 0 : APIC_BASE_BSP;
	if (!(s->base_msr & APIC_BASE_ENABLE))
		s->base_msr &= ~APIC_BASE_X2APIC;
	lapic_regs_after_load(lapic);
	s->ldr = lapic_is_x2apic(lapic) ? x2apic_ldr(lapic->id) : s->ldr & LDR_XAPIC;
	s->irr[0] &= ~LOW_VECTORS;
	s->isr[0] &= ~LOW_VECTORS;
	lapic_sum_up(lapic);
	s->eoi_is_offered = s->eoi_is_offered && serves_edge(lapic);
	lapic_forget_page(lapic);	/* whatever it holds: s is what was loaded */
	lapic_timer_after_load(lapic);
	lapic->env->kick(lapic->ctx);
}

void lapic_init(struct lapic *lapic, uint32_t id, const struct lapic_env *env, void *ctx,
		const struct vm_clock *clock, const uint64_t *tsc_offset)
{
	memset(lapic, 0, sizeof(*lapic));
	lapic->id = id;
	lapic->env = env;
	lapic->ctx = ctx;
	lapic->clock = clock;
	lapic->tsc_offset = tsc_offset;
	lapic_timer_init(lapic);
	lapic_reset(lapic, false);
}
