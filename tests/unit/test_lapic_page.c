/* SPDX-License-Identifier: MIT */
/*
 * hv/dev/lapic_page.c: vectors handed to a processor and taken back. The processor here does what SDM vol. 3, chapter
 * "APIC Virtualization and Virtual Interrupts" says, and whatever happens, a second APIC without one must say the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/dev/lapic_page.h"
#include "hv/lib/util.h"

#define X2APIC		(LAPIC_BASE | 0xc00)
#define XAPIC		(LAPIC_BASE | 0x800)
#define TICK		(FAKE_HZ / LAPIC_TIMER_HZ)

struct fixture { struct lapic lapic; unsigned kicks, eois, withdrawals; uint8_t ended; };

static struct fixture with, without;
static struct lapic_page page;
static uint64_t tsc_offset;

static void kick(void *ctx) { ((struct fixture *)ctx)->kicks++; }

static void eoi(void *ctx, uint8_t vector)
{
	((struct fixture *)ctx)->eois++;
	((struct fixture *)ctx)->ended = vector;
}

static bool offer(void *ctx) { (void)ctx; return true; }
static bool withdraw(void *ctx) { ((struct fixture *)ctx)->withdrawals++; return true; }

static const struct lapic_env env = { .kick = kick, .eoi = eoi, .offer_eoi = offer, .withdraw_eoi = withdraw };

static void write_msr(struct lapic *lapic, uint32_t msr, uint64_t val) { assert_true(lapic_msr_write(lapic, msr, val)); }

static uint64_t read_msr(struct lapic *lapic, uint32_t msr)
{
	uint64_t val = 0;

	assert_true(lapic_msr_read(lapic, msr, &val));
	return val;
}

static void switch_on(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	lapic_init(&f->lapic, 0x21, &env, f, &fake_clock, &tsc_offset);
	assert_true(lapic_base_write(&f->lapic, X2APIC));
	write_msr(&f->lapic, 0x80f, 0x1ff);
}

static int setup(void **unused)
{
	(void)unused;
	fake_now = 10 * FAKE_HZ;
	page = (struct lapic_page){ 0 };
	switch_on(&with);
	switch_on(&without);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	timer_disarm(&with.lapic.timer);
	timer_disarm(&without.lapic.timer);
	return timer_next() == TIMER_NEVER ? 0 : -1;
}

/* ---- The processor ---- */

static struct { int rvi, svi; } processor;

static uint32_t *word(enum apic_reg set, int vector) { return page.reg[(unsigned)set + (unsigned)vector / 32]; }
static void put(enum apic_reg set, int vector) { *word(set, vector) |= 1U << vector % 32; }
static void drop(enum apic_reg set, int vector) { *word(set, vector) &= ~(1U << vector % 32); }

static int priority(void)
{
	int task = (int)page.reg[APIC_TPR][0], served = processor.svi > 0 ? processor.svi : 0;

	return task >> 4 >= served >> 4 ? task : served & 0xf0;
}

static void enter(void)		/* a back end's deliver, and the entry */
{
	if (!with.lapic.page && lapic_page_fits(&with.lapic)) {
		lapic_to_page(&with.lapic, &page);
		processor.rvi = lapic_page_highest(&page, APIC_IRR);
		processor.svi = lapic_page_highest(&page, APIC_ISR);
	}
	if (lapic_has_news(&with.lapic)) {
		struct lapic_news news = lapic_take_news(&with.lapic);

		processor.rvi = news.requested > processor.rvi ? news.requested : processor.rvi;
	}
	assert_int_equal(processor.rvi, lapic_page_highest(&page, APIC_IRR));
	assert_int_equal(processor.svi, lapic_page_highest(&page, APIC_ISR));
}

static int take(void)
{
	int vector = processor.rvi;

	if (vector >> 4 <= priority() >> 4)
		return -1;
	put(APIC_ISR, vector);
	drop(APIC_IRR, vector);
	processor.svi = vector;
	processor.rvi = lapic_page_highest(&page, APIC_IRR);
	return vector;
}

static void end(void)		/* with the EOI-exit bitmap as TMR */
{
	int vector = processor.svi;

	if (vector < 0)
		return;
	drop(APIC_ISR, vector);
	processor.svi = lapic_page_highest(&page, APIC_ISR);
	if (*word(APIC_TMR, vector) >> vector % 32 & 1)
		lapic_page_ended(&with.lapic, (uint8_t)vector);
}

static void self_ipi(int vector)
{
	put(APIC_IRR, vector);
	if (vector > processor.rvi)
		processor.rvi = vector;
}

/* ---- Tests ---- */

static void test_there_and_back(void **unused)
{
	struct lapic *lapic = &with.lapic;

	(void)unused;
	lapic_post(lapic, 0x31, true);
	lapic_post(lapic, 0x92, false);
	lapic_accept(lapic, 0x92);
	lapic_cr8_write(lapic, 3);
	enter();
	assert_ptr_equal(lapic->page, &page);
	assert_int_equal(*word(APIC_IRR, 0x31), 1 << 0x11);
	assert_int_equal(*word(APIC_TMR, 0x31), 1 << 0x11);
	assert_int_equal(*word(APIC_ISR, 0x92), 1 << 0x12);
	assert_int_equal(page.reg[APIC_TPR][0], 0x30);
	assert_int_equal(page.reg[APIC_PPR][0], 0x90);
	assert_int_equal(page.reg[APIC_ID][0], 0x21);
	assert_int_equal(page.reg[APIC_LDR][0], 0x20002);
	assert_int_equal(page.reg[APIC_VERSION][0], read_msr(lapic, 0x803));
	page.reg[APIC_TPR][0] = 0x47;		/* the guest does this and that */
	put(APIC_IRR, 0x61);
	drop(APIC_ISR, 0x92);
	assert_int_equal(lapic_task_priority(lapic), 0x47);
	assert_int_equal(lapic_cr8_read(lapic), 4);
	assert_int_equal(lapic_pending(lapic), 0x61);
	with.kicks = 0;
	lapic_from_page(lapic);
	assert_null(lapic->page);
	assert_int_equal(with.kicks, 1);
	assert_int_equal(lapic->s.tpr, 0x47);
	assert_int_equal(lapic_pending(lapic), 0x61);
	assert_int_equal(read_msr(lapic, 0x823), 1 << 1);
	assert_int_equal(read_msr(lapic, 0x821), 1 << 0x11);
	assert_int_equal(read_msr(lapic, 0x819), 1 << 0x11);
	assert_int_equal(read_msr(lapic, 0x80a), 0x47);
	lapic_from_page(lapic);
	assert_int_equal(with.kicks, 1);
}

/* Each of these asks for something that the page does not know: behind it s has the truth. */
static void test_taken_back(void **unused)
{
	static const struct { const char *how; uint32_t msr; bool is_write; uint64_t val; } rows[] = {
		{ "ISR", 0x812, false, 0 }, { "TMR", 0x81a, false, 0 }, { "IRR", 0x822, false, 0 }, { "PPR", 0x80a, false, 0x40 },
		{ "EOI", 0x80b, true, 0 }, { "TPR", 0x808, true, 0x10 }, { "SVR", 0x80f, true, 0xff },
	};

	(void)unused;
	for (size_t i = 0; row_of(rows, i); i++) {
		setup(NULL);
		enter();
		put(APIC_ISR, 0x41);
		if (rows[i].is_write)
			write_msr(&with.lapic, rows[i].msr, rows[i].val);
		else
			(void)read_msr(&with.lapic, rows[i].msr);
		assert_null(with.lapic.page);
		assert_int_equal(with.lapic.s.isr[2], rows[i].msr == 0x80b ? 0 : 2);
		assert_true(with.kicks);
		assert_int_equal(lapic_page_fits(&with.lapic), rows[i].msr != 0x80f);
	}
}

static void test_modes(void **unused)
{
	struct lapic *lapic = &with.lapic;

	(void)unused;
	enter();
	put(APIC_ISR, 0x41);
	self_ipi(0x51);
	assert_true(lapic_base_write(lapic, LAPIC_BASE));	/* off: all is lost */
	assert_null(lapic->page);
	assert_false(lapic_page_fits(lapic));
	assert_true(lapic_base_write(lapic, XAPIC));
	lapic_mmio_write(lapic, 0xf0, 4, 0x1ff);
	assert_false(lapic_page_fits(lapic));
	assert_int_equal(lapic_pending(lapic), -1);
	assert_true(lapic_base_write(lapic, X2APIC));
	enter();
	assert_int_equal(lapic_page_highest(&page, APIC_ISR), -1);
	self_ipi(0x51);
	lapic_reset(lapic, true);
	assert_null(lapic->page);
	assert_int_equal(lapic_pending(lapic), -1);
}

/* What is loaded counts, whatever a page of before holds. */
static void test_load(void **unused)
{
	struct lapic_state state;

	(void)unused;
	lapic_post(&with.lapic, 0x41, false);
	state = with.lapic.s;
	enter();
	self_ipi(0x51);
	with.lapic.s = state;
	lapic_after_load(&with.lapic);
	assert_null(with.lapic.page);
	assert_int_equal(lapic_pending(&with.lapic), 0x41);
}

/* An end that was offered to the guest is settled before the processor looks at what is in service. */
static void test_offered(void **unused)
{
	(void)unused;
	lapic_post(&with.lapic, 0x41, false);
	lapic_accept(&with.lapic, 0x41);
	lapic_offer_eoi(&with.lapic, 0x41);
	enter();
	assert_int_equal(with.withdrawals, 1);
	assert_int_equal(processor.svi, -1);
}

static void test_news(void **unused)
{
	struct lapic *lapic = &with.lapic;
	struct lapic_news news;

	(void)unused;
	enter();
	with.kicks = 0;
	lapic_post(lapic, 0x31, false);
	lapic_post(lapic, 0x91, false);
	lapic_post(lapic, 0x61, false);
	lapic_post(lapic, 0x61, false);
	assert_int_equal(with.kicks, 3);	/* not for one that is requested already */
	news = lapic_take_news(lapic);
	assert_int_equal(news.requested, 0x91);
	assert_false(news.levels);
	assert_false(lapic_has_news(lapic));
	lapic_post(lapic, 0x61, true);		/* the same vector, now as a level: its end is to be told */
	assert_int_equal(with.kicks, 4);
	news = lapic_take_news(lapic);
	assert_true(news.levels);
	lapic_post(lapic, 0x62, true);
	lapic_from_page(lapic);
	enter();
	assert_false(lapic_has_news(lapic));	/* told with all the rest */
	assert_false(lapic_take_news(lapic).levels);
}

/* One that is level-triggered and still high asks again at its end, as LINT0 does. */
static void test_lint0(void **unused)
{
	(void)unused;
	write_msr(&with.lapic, 0x835, 0x08045);
	enter();
	lapic_set_lint0(&with.lapic, true);
	enter();
	assert_int_equal(take(), 0x45);
	end();
	assert_int_equal(with.eois, 1);
	enter();
	assert_int_equal(take(), 0x45);
	lapic_set_lint0(&with.lapic, false);
	end();
	assert_int_equal(with.eois, 2);
	assert_int_equal(take(), -1);
}

/* An illegal vector is an error, and nothing that the processor could be reminded of. */
static void test_refused_vector(void **unused)
{
	struct lapic *lapic = &with.lapic;

	(void)unused;
	enter();
	write_msr(lapic, 0x83e, 0x0b);
	write_msr(lapic, 0x832, 0x20005);
	write_msr(lapic, 0x838, 1000);
	clock_advance(1000 * TICK);
	assert_non_null(lapic->page);
	assert_true(lapic->timer_waits);
	assert_int_equal(lapic->requested, 0);
	assert_int_equal(timer_next(), TIMER_NEVER);
}

/*
 * A periodic count whose interrupt nobody takes: a period more for each entry, none while the vCPU does not run. Nothing
 * tells when the processor takes it.
 */
static void test_periodic(void **unused)
{
	struct lapic *lapic = &with.lapic;

	(void)unused;
	write_msr(lapic, 0x83e, 0x0b);
	write_msr(lapic, 0x832, 0x20040);
	write_msr(lapic, 0x838, 1000);
	clock_advance(1000 * TICK);
	assert_true(lapic->timer_waits);
	enter();				/* its vector is requested when the page comes: armed all the same */
	assert_false(lapic->timer_waits);
	assert_int_equal(timer_next(), fake_now + 1000 * TICK);
	with.kicks = 0;
	clock_advance(1000 * TICK);
	assert_true(lapic->timer_waits);
	assert_int_equal(with.kicks, 1);	/* though its vector was requested before */
	assert_int_equal(timer_next(), TIMER_NEVER);
	clock_advance(5300 * TICK);
	enter();
	assert_int_equal(timer_next(), fake_now + 700 * TICK);	/* in phase */
	assert_int_equal(take(), 0x40);
	end();
	assert_int_equal(take(), -1);
}

static void compare(void)
{
	struct fixture copy = with;	/* what it would be, were it taken back */

	copy.lapic.ctx = &copy;
	lapic_from_page(&copy.lapic);
	assert_memory_equal(copy.lapic.s.irr, without.lapic.s.irr, sizeof(copy.lapic.s.irr));
	assert_memory_equal(copy.lapic.s.isr, without.lapic.s.isr, sizeof(copy.lapic.s.isr));
	assert_memory_equal(copy.lapic.s.tmr, without.lapic.s.tmr, sizeof(copy.lapic.s.tmr));
	assert_int_equal(copy.lapic.s.tpr, without.lapic.s.tpr);
	assert_int_equal(copy.lapic.irr_words, without.lapic.irr_words);
	assert_int_equal(copy.lapic.isr_words, without.lapic.isr_words);
	assert_int_equal(lapic_pending(&with.lapic), lapic_pending(&without.lapic));
	assert_int_equal(with.eois, without.eois);
	assert_int_equal(with.ended, without.ended);
}

static void take_both(void)
{
	int vector = take();

	assert_int_equal(vector, lapic_pending(&without.lapic));
	if (vector >= 0)
		lapic_accept(&without.lapic, (uint8_t)vector);
}

/* Whatever comes in whatever order, both APICs say the same. */
static void test_random(void **unused)
{
	uint32_t seed = 29;

	(void)unused;
	for (unsigned i = 0; i < 20000; i++) {
		unsigned dice = (seed = seed * 1664525U + 1013904223U) >> 8, vector = 16 + dice / 8 % 240;

		enter();
		switch (dice % 8) {
		case 0:
		case 1:
			lapic_post(&with.lapic, (uint8_t)vector, dice >> 20 & 1);
			lapic_post(&without.lapic, (uint8_t)vector, dice >> 20 & 1);
			break;
		case 2:
			self_ipi((int)vector);
			lapic_post(&without.lapic, (uint8_t)vector, *word(APIC_TMR, (int)vector) >> vector % 32 & 1);
			break;
		case 3:
			page.reg[APIC_TPR][0] = vector & 0x7f;
			write_msr(&without.lapic, 0x808, vector & 0x7f);
			break;
		case 4:
			if (!(dice >> 20 & 7))
				lapic_from_page(&with.lapic);
			break;
		case 5:
			take_both();
			break;
		default:
			end();
			write_msr(&without.lapic, 0x80b, 0);
		}
		compare();
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back), TEST(test_taken_back), TEST(test_modes), TEST(test_load), TEST(test_offered), TEST(test_news),
		TEST(test_lint0), TEST(test_refused_vector), TEST(test_periodic), TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
