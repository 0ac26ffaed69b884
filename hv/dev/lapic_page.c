/* SPDX-License-Identifier: MIT */
/* The vectors of a local APIC in a page that a processor serves (contract in lapic_page.h). */
#include "hv/dev/lapic_page.h"

#include "hv/dev/lapic_regs.h"
#include "hv/lib/shared.h"
#include "hv/lib/util.h"

#define LOOK		0xffffffffU	/* for irr_words: whoever wants to know must look into the page */

static uint32_t *word_of(struct lapic_page *page, enum apic_reg set, unsigned vector)
{
	return page->reg[set + vector / VECTORS_PER_WORD];
}

static uint32_t bit_of(unsigned vector)
{
	return 1U << vector % VECTORS_PER_WORD;
}

int lapic_page_highest(const struct lapic_page *page, enum apic_reg set)
{
	for (unsigned i = VECTOR_WORDS; i-- > 0;)
		if (page->reg[set + i][0])
			return (int)(i * VECTORS_PER_WORD + VECTORS_PER_WORD - 1 - (unsigned)__builtin_clz(page->reg[set + i][0]));
	return -1;
}

enum lapic_requests lapic_requests(const struct lapic *lapic)
{
	unsigned words = 0;

	for (unsigned i = 0; i < VECTOR_WORDS; i++) {
		uint32_t word = lapic->page ? lapic->page->reg[APIC_IRR + i][0] : lapic->s.irr[i];

		words += word ? 1 : 0;
		if (words > 1 || (word & (word - 1)))
			return LAPIC_SEVERAL_REQUESTS;
	}
	return words ? LAPIC_ONE_REQUEST : LAPIC_NO_REQUEST;
}

/* ---- There and back ---- */

bool lapic_page_fits(const struct lapic *lapic)
{
	return lapic_is_x2apic(lapic) && lapic_is_enabled(lapic);
}

/* What a guest finds in the page without an exit, and does not change as long as the vectors are there. */
static void copy_constants(struct lapic *lapic, struct lapic_page *page)
{
	static const enum apic_reg constants[] = { APIC_ID, APIC_VERSION, APIC_LDR };

	for (size_t i = 0; i < countof(constants); i++) {
		uint64_t val = 0;

		(void)!lapic_msr_read(lapic, X2APIC_MSRS + constants[i], &val);	/* all are there in x2APIC mode */
		page->reg[constants[i]][0] = (uint32_t)val;
	}
}

/* TPR before the pointer, so that another processor reads the old truth or the new one. */
void lapic_to_page(struct lapic *lapic, struct lapic_page *page)
{
	lapic_settle(lapic);
	copy_constants(lapic, page);
	for (unsigned i = 0; i < VECTOR_WORDS; i++) {
		page->reg[APIC_IRR + i][0] = lapic->s.irr[i];
		page->reg[APIC_ISR + i][0] = lapic->s.isr[i];
		page->reg[APIC_TMR + i][0] = lapic->s.tmr[i];
	}
	page->reg[APIC_PPR][0] = lapic_ppr(lapic);
	shared_write32(page->reg[APIC_TPR], lapic->s.tpr);
	lapic->requested = 0;
	lapic->levels_changed = false;
	lapic->irr_words = LOOK;
	lapic->is_elsewhere = true;
	__atomic_store_n(&lapic->page, page, __ATOMIC_RELEASE);
	if (lapic->timer_waits)
		lapic_timer_go_on(lapic);
}

void lapic_from_page(struct lapic *lapic)
{
	struct lapic_page *page = lapic->page;

	if (!page)
		return;
	for (unsigned i = 0; i < VECTOR_WORDS; i++) {
		lapic->s.irr[i] = page->reg[APIC_IRR + i][0];
		lapic->s.isr[i] = page->reg[APIC_ISR + i][0];
		lapic->s.tmr[i] = page->reg[APIC_TMR + i][0];
	}
	shared_write32(&lapic->s.tpr, page->reg[APIC_TPR][0]);
	lapic_sum_up(lapic);
	lapic_forget_page(lapic);
	lapic->env->kick(lapic->ctx);	/* the back end must notice before the next entry */
}

void lapic_forget_page(struct lapic *lapic)
{
	__atomic_store_n(&lapic->page, NULL, __ATOMIC_RELEASE);
	lapic->is_elsewhere = lapic->s.eoi_is_offered;
}

uint32_t lapic_task_priority(const struct lapic *lapic)
{
	const struct lapic_page *page = __atomic_load_n(&lapic->page, __ATOMIC_ACQUIRE);

	return shared_read32(page ? page->reg[APIC_TPR] : &lapic->s.tpr);
}

/* ---- While the processor has them ---- */

void lapic_page_remind(struct lapic *lapic, uint8_t vector)
{
	if (vector > lapic->requested)
		lapic->requested = vector;
	lapic->env->kick(lapic->ctx);
}

void lapic_page_request(struct lapic *lapic, uint8_t vector, bool is_level)
{
	uint32_t *irr = word_of(lapic->page, APIC_IRR, vector), *tmr = word_of(lapic->page, APIC_TMR, vector);
	uint32_t bit = bit_of(vector);
	bool is_known = *irr & bit;

	*irr |= bit;
	if (is_level != !!(*tmr & bit)) {
		*tmr ^= bit;
		lapic->levels_changed = true;
	} else if (is_known) {
		return;
	}
	lapic_page_remind(lapic, vector);
}

bool lapic_page_is_requested(const struct lapic *lapic, uint8_t vector)
{
	return *word_of(lapic->page, APIC_IRR, vector) & bit_of(vector);
}

/* As lapic_pending: the processor priority is not read from the page, where it is of the last time that the guest ran. */
int lapic_page_pending(const struct lapic *lapic)
{
	int requested = lapic_page_highest(lapic->page, APIC_IRR), served;
	unsigned class, task = lapic->page->reg[APIC_TPR][0] >> LAPIC_CLASS_SHIFT;

	if (requested < 0)
		return requested;
	served = lapic_page_highest(lapic->page, APIC_ISR);
	class = served < 0 ? 0 : (unsigned)served >> LAPIC_CLASS_SHIFT;
	return (unsigned)requested >> LAPIC_CLASS_SHIFT > (class > task ? class : task) ? requested : -1;
}

/*
 * A periodic count that waits with its next period until its vector is taken has its word here: nobody hears when the
 * processor takes it. The guest is about to run, so further periods cost its own time.
 */
struct lapic_news lapic_take_news(struct lapic *lapic)
{
	struct lapic_news news = { lapic->requested, lapic->levels_changed };

	lapic->requested = 0;
	lapic->levels_changed = false;
	if (lapic->timer_waits)
		lapic_timer_go_on(lapic);
	return news;
}

void lapic_page_ended(struct lapic *lapic, uint8_t vector)
{
	if (*word_of(lapic->page, APIC_TMR, vector) & bit_of(vector))
		lapic_level_ended(lapic, vector);
}
