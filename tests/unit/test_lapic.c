/* SPDX-License-Identifier: MIT */
/* hv/dev/lapic*.c: priorities, both register maps with their faults, destinations, the timer's three modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "hv/dev/lapic.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"

#define TSC_OFFSET	(0 - 12345678ULL)	/* guest TSC = VM's clock + this */
#define X2APIC		(LAPIC_BASE | 0xc00)
#define XAPIC		(LAPIC_BASE | 0x800)
#define LINT0_EXTINT	0x700U

struct fixture {
	struct lapic lapic;
	unsigned kicks, nmis, ipis, eois;
	uint64_t icr;
	uint8_t eoi_vector;
	unsigned offers, withdrawals;
	bool may_offer, is_taken;
};

static uint64_t tsc_offset;

static uint64_t guest_tsc(void)
{
	return fake_now + tsc_offset;
}

static void env_kick(void *ctx)
{
	struct fixture *f = ctx;

	f->kicks++;
}

static void env_nmi(void *ctx)
{
	struct fixture *f = ctx;

	f->nmis++;
}

static void env_ipi(void *ctx, const struct lapic *from, uint64_t icr)
{
	struct fixture *f = ctx;

	assert_ptr_equal(from, &f->lapic);
	f->ipis++;
	f->icr = icr;
}

static void env_eoi(void *ctx, uint8_t vector)
{
	struct fixture *f = ctx;

	f->eois++;
	f->eoi_vector = vector;
}

static bool env_offer(void *ctx)
{
	struct fixture *f = ctx;

	f->offers++;
	return f->may_offer;
}

static bool env_taken(void *ctx)
{
	struct fixture *f = ctx;

	f->withdrawals++;
	return f->is_taken;
}

static const struct lapic_env env = {
	.offer_eoi = env_offer, .withdraw_eoi = env_taken,
	.kick = env_kick, .nmi = env_nmi, .ipi = env_ipi, .eoi = env_eoi,
};

/* As vcpu_ack_irq of a vCPU whose guest wants offers. */
static void take(struct lapic *lapic, uint8_t vector)
{
	lapic_settle(lapic);
	lapic_accept(lapic, vector);
	lapic_offer_eoi(lapic, vector);
}

static void write_msr(struct fixture *f, uint32_t msr, uint64_t value)
{
	if (!lapic_msr_write(&f->lapic, msr, value))
		fail_msg("#GP at WRMSR %#x, %#llx", msr, (unsigned long long)value);
}

static uint64_t read_msr(struct fixture *f, uint32_t msr)
{
	uint64_t value = 0;

	if (!lapic_msr_read(&f->lapic, msr, &value))
		fail_msg("#GP at RDMSR %#x", msr);
	return value;
}

/* An enabled x2APIC with ID 5. */
static int setup(void **state)
{
	static struct fixture f;

	fake_now = 10 * FAKE_HZ;
	tsc_offset = TSC_OFFSET;
	f = (struct fixture){ 0 };
	lapic_init(&f.lapic, 5, &env, &f, &fake_clock, &tsc_offset);
	assert_true(lapic_base_write(&f.lapic, X2APIC));
	write_msr(&f, 0x80f, 0x1ff);
	f.kicks = 0;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	timer_disarm(&f->lapic.timer);
	return timer_next() == TIMER_NEVER ? 0 : -1;
}

/*
 * A periodic count waits with its next period only as long as its vector is requested, or as ESR knows that it is illegal; else each
 * count that would be heard is armed.
 */
static void check_timer(const struct lapic *lapic)
{
	const uint32_t lvt = lapic->s.lvt[1];
	const bool is_heard = lapic->s.timer_counts && !(lvt & 0x10000);
	const bool is_requested = lapic->s.irr[(lvt & 0xff) / 32] >> lvt % 32 & 1;
	const bool is_known = (lvt & 0xff) < 16 ? lapic->s.esr_latch & 0x40 : is_requested;

	if (lapic->timer_waits)
		assert_true(is_heard && (lvt & 0x60000) == 0x20000 && is_known);
	if (lvt & 0x40000)
		assert_true(timer_is_armed(&lapic->timer) || !lapic->s.tsc_deadline || lapic->s.tsc_deadline > UINT64_MAX / 2);
	else
		assert_int_equal(timer_is_armed(&lapic->timer), is_heard && !lapic->timer_waits);
}

/* The counts and summaries that the quick paths rely on. */
static void check_invariants(const struct lapic *lapic)
{
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(lapic->irr_words >> i & 1, lapic->s.irr[i] != 0);
		assert_int_equal(lapic->isr_words >> i & 1, lapic->s.isr[i] != 0);
	}
	check_timer(lapic);
}

static void test_priorities(void **state)
{
	struct fixture *f = *state;
	struct lapic *lapic = &f->lapic;

	assert_int_equal(lapic_pending(lapic), -1);
	lapic_post(lapic, 0x31, false);
	lapic_post(lapic, 0x31, false);
	assert_int_equal(f->kicks, 1);
	lapic_post(lapic, 0x92, false);
	assert_int_equal(lapic_pending(lapic), 0x92);
	take(lapic, 0x92);
	assert_int_equal(read_msr(f, 0x80a), 0x90);
	assert_int_equal(lapic_pending(lapic), -1);	/* 31 is below */
	lapic_post(lapic, 0x95, false);
	assert_int_equal(lapic_pending(lapic), -1);	/* the same class waits */
	lapic_post(lapic, 0xa0, false);
	assert_int_equal(lapic_pending(lapic), 0xa0);
	take(lapic, 0xa0);
	f->kicks = 0;
	write_msr(f, 0x80b, 0);
	assert_int_equal(f->kicks, 1);			/* more is waiting: look again */
	assert_int_equal(lapic_pending(lapic), -1);
	write_msr(f, 0x80b, 0);
	assert_int_equal(lapic_pending(lapic), 0x95);
	lapic_cr8_write(lapic, 9);
	assert_int_equal(lapic_pending(lapic), -1);
	assert_int_equal(read_msr(f, 0x80a), 0x90);
	f->kicks = 0;
	lapic_cr8_write(lapic, 8);
	assert_int_equal(f->kicks, 1);
	assert_int_equal(lapic_pending(lapic), 0x95);
	write_msr(f, 0x808, 0x47);
	assert_int_equal(read_msr(f, 0x80a), 0x47);
	assert_int_equal(lapic_cr8_read(lapic), 4);
	take(lapic, 0x95);
	write_msr(f, 0x80b, 0);
	write_msr(f, 0x80b, 0);				/* nothing in service */
	assert_int_equal(read_msr(f, 0x821), 1U << (0x31 - 0x20));
	take(lapic, 0x77);			/* was never requested */
	check_invariants(lapic);
}

static void test_level_eoi(void **state)
{
	struct fixture *f = *state;

	lapic_post(&f->lapic, 0x50, true);
	assert_int_equal(read_msr(f, 0x818 + 2), 1U << 16);
	take(&f->lapic, 0x50);
	f->kicks = 0;
	write_msr(f, 0x80b, 0);
	assert_int_equal(f->kicks, 0);			/* nothing waits */
	assert_int_equal(f->eois, 1);
	assert_int_equal(f->eoi_vector, 0x50);
	lapic_post(&f->lapic, 0x50, false);
	take(&f->lapic, 0x50);
	write_msr(f, 0x80b, 0);
	assert_int_equal(f->eois, 1);
}

/* A vector of 0x40 is taken, and its end is offered to the guest. */
static void offered(struct fixture *f)
{
	f->may_offer = true;
	lapic_post(&f->lapic, 0x40, false);
	take(&f->lapic, 0x40);
	assert_true(f->lapic.s.eoi_is_offered);
	assert_int_equal(f->withdrawals, 0);
}

/* What asks for the vectors in service sees those that the guest has ended meanwhile without an exit. */
static void test_offered_eoi(void **state)
{
	struct fixture *f = *state;

	offered(f);
	f->is_taken = true;
	lapic_post(&f->lapic, 0x41, false);	/* of the same class */
	assert_int_equal(f->withdrawals, 0);	/* nobody has asked yet */
	assert_int_equal(lapic_pending(&f->lapic), 0x41);
	assert_int_equal(f->withdrawals, 1);
	take(&f->lapic, 0x41);
	assert_int_equal(read_msr(f, 0x80a), 0);	/* PPR */
	assert_int_equal(read_msr(f, 0x812), 0);	/* ISR */
	assert_int_equal(f->offers, 2);
	assert_int_equal(f->withdrawals, 2);
	assert_int_equal(f->eois, 0);
	check_invariants(&f->lapic);
}

/* The guest has not come so far, or ends its interrupt in the old way: one end, by its EOI. */
static void test_refused_offer(void **state)
{
	struct fixture *f = *state;

	offered(f);
	lapic_post(&f->lapic, 0x41, false);
	assert_int_equal(lapic_pending(&f->lapic), -1);
	assert_int_equal(read_msr(f, 0x812), 1);
	f->kicks = 0;
	write_msr(f, 0x80b, 0);
	assert_int_equal(f->kicks, 1);
	assert_int_equal(f->withdrawals, 1);
	assert_int_equal(lapic_pending(&f->lapic), 0x41);
}

/*
 * One of a higher class waits for IF, not for the end of the one in service: the offer stands until it is taken, so the
 * guest's end of the other costs no exit.
 */
static void test_standing_offer(void **state)
{
	struct fixture *f = *state;

	offered(f);
	lapic_post(&f->lapic, 0x50, false);
	assert_int_equal(lapic_pending(&f->lapic), 0x50);
	assert_true(f->lapic.s.eoi_is_offered);
	assert_int_equal(f->withdrawals, 0);
	f->is_taken = true;
	take(&f->lapic, 0x50);
	assert_int_equal(f->withdrawals, 1);
	assert_int_equal(f->offers, 2);
	assert_int_equal(f->lapic.s.isr[2], 1U << (0x50 % 32));	/* 40h was ended, not this one */
	check_invariants(&f->lapic);
}

/* With TPR above it, the one of the higher class waits for more than IF. */
static void test_offer_below_priority(void **state)
{
	struct fixture *f = *state;

	offered(f);
	lapic_cr8_write(&f->lapic, 5);
	lapic_post(&f->lapic, 0x50, false);
	assert_int_equal(lapic_pending(&f->lapic), -1);
	assert_false(f->lapic.s.eoi_is_offered);
	assert_int_equal(f->withdrawals, 1);
}

/* A nested interrupt's end is the offer; the outer one's needs an exit. EOI behind an accepted offer ends the next. */
static void test_nested_offers(void **state)
{
	struct fixture *f = *state;

	offered(f);
	lapic_post(&f->lapic, 0x50, false);
	assert_int_equal(lapic_pending(&f->lapic), 0x50);
	take(&f->lapic, 0x50);
	f->is_taken = true;
	write_msr(f, 0x80b, 0);
	assert_int_equal(read_msr(f, 0x812), 0);
	assert_int_equal(f->withdrawals, 2);
}

/* EOI behind an accepted offer ends the next: here a level, for whose end the I/O APIC waits. */
static void test_outer_level(void **state)
{
	struct fixture *f = *state;

	f->may_offer = true;
	lapic_post(&f->lapic, 0x40, true);
	take(&f->lapic, 0x40);
	lapic_post(&f->lapic, 0x50, false);
	assert_int_equal(lapic_pending(&f->lapic), 0x50);
	take(&f->lapic, 0x50);
	f->is_taken = true;
	write_msr(f, 0x80b, 0);
	assert_int_equal(f->eois, 1);
	assert_int_equal(f->eoi_vector, 0x40);
}

/* The same vector comes as a level: what was ended before was an edge, which is nothing to the I/O APIC. */
static void test_edge_becomes_level(void **state)
{
	struct fixture *f = *state;

	offered(f);
	f->is_taken = true;
	lapic_post(&f->lapic, 0x40, true);
	assert_int_equal(lapic_pending(&f->lapic), 0x40);
	assert_int_equal(f->eois, 0);
}

/* The page shows it as the MSRs do. */
static void test_offer_and_page(void **state)
{
	struct fixture *f = *state;

	assert_true(lapic_base_write(&f->lapic, LAPIC_BASE));
	assert_true(lapic_base_write(&f->lapic, XAPIC));
	lapic_mmio_write(&f->lapic, 0xf0, 4, 0x1ff);
	offered(f);
	f->is_taken = true;
	assert_int_equal(lapic_mmio_read(&f->lapic, 0x120, 4), 0);
}

/* An end that somebody waits for is never offered, and an APIC that starts anew has offered nothing. */
static void test_no_offer(void **state)
{
	struct fixture *f = *state;

	f->may_offer = true;
	lapic_post(&f->lapic, 0x40, true);
	take(&f->lapic, 0x40);
	lapic_post(&f->lapic, 0x51, false);
	lapic_post(&f->lapic, 0x50, false);
	take(&f->lapic, 0x51);		/* 50h waits behind it */
	assert_int_equal(f->offers, 0);
	take(&f->lapic, 0x50);
	assert_true(f->lapic.s.eoi_is_offered);
	lapic_reset(&f->lapic, true);
	assert_false(f->lapic.s.eoi_is_offered);
	assert_int_equal(f->withdrawals, 1);
	f->may_offer = false;
	write_msr(f, 0x80f, 0x1ff);
	lapic_post(&f->lapic, 0x40, false);
	take(&f->lapic, 0x40);
	assert_int_equal(f->offers, 2);
	assert_false(f->lapic.s.eoi_is_offered);
}

/* A loaded state may say anything: an offer that could not have been made is none. */
static void test_loaded_offer(void **state)
{
	struct fixture *f = *state;

	offered(f);
	lapic_after_load(&f->lapic);
	assert_true(f->lapic.s.eoi_is_offered);
	f->lapic.s.tmr[2] = 1;			/* somebody waits for this one */
	lapic_after_load(&f->lapic);
	assert_false(f->lapic.s.eoi_is_offered);
	f->lapic.s.tmr[2] = 0;
	f->lapic.s.isr[2] = 0;
	f->lapic.s.eoi_is_offered = true;
	lapic_after_load(&f->lapic);
	assert_false(f->lapic.s.eoi_is_offered);
}

static void test_x2apic_faults(void **state)
{
	static const struct { uint32_t msr; uint64_t value; bool can_read, can_write; } rows[] = {
		{ 0x802, 0, true, false }, { 0x803, 0, true, false }, { 0x808, 0xff, true, true },
		{ 0x808, 0x100, true, false }, { 0x809, 0, false, false }, { 0x80a, 0, true, false },
		{ 0x80b, 0, false, true }, { 0x80b, 1, false, false }, { 0x80c, 0, false, false },
		{ 0x80d, 0, true, false }, { 0x80e, 0, false, false }, { 0x80f, 0x1ff, true, true },
		{ 0x80f, 0x1000, true, false }, { 0x810, 0, true, false }, { 0x827, 0, true, false },
		{ 0x828, 0, true, true }, { 0x828, 1, true, false }, { 0x829, 0, false, false },
		{ 0x82f, 0x100f2, true, true }, { 0x830, 1ULL << 20, true, false }, { 0x830, 1ULL << 13, true, false },
		{ 0x831, 0, false, false }, { 0x832, 0x400ec, true, true }, { 0x832, 0x80000, true, false },
		{ 0x832, 1ULL << 32, true, false }, { 0x834, 0x10400, true, true }, { 0x835, 0x10700, true, true },
		{ 0x836, 0x400, true, true }, { 0x836, 0x20000, true, false }, { 0x837, 0xfe, true, true },
		{ 0x838, 0xffffffff, true, true }, { 0x838, 1ULL << 32, true, false }, { 0x839, 0, true, false },
		{ 0x83e, 0x0b, true, true }, { 0x83e, 0x04, true, false }, { 0x83f, 0x40, false, true },
		{ 0x83f, 0x140, false, false }, { 0x840, 0, false, false }, { 0x8ff, 0, false, false },
		{ 0x7ff, 0, false, false }, { 0xffffffff, 0, false, false },
	};
	struct fixture *f = *state;
	uint64_t value;

	for (size_t i = 0; i < countof(rows); i++) {
		if (lapic_msr_read(&f->lapic, rows[i].msr, &value) != rows[i].can_read)
			fail_msg("RDMSR %#x", rows[i].msr);
		if (lapic_msr_write(&f->lapic, rows[i].msr, rows[i].value) != rows[i].can_write)
			fail_msg("WRMSR %#x, %#llx", rows[i].msr, (unsigned long long)rows[i].value);
	}
	assert_int_equal(read_msr(f, 0x802), 5);
	assert_int_equal(read_msr(f, 0x80d), 1U << 5);
	assert_int_equal(read_msr(f, 0x803), 0x00060014);
	assert_true(lapic_base_write(&f->lapic, LAPIC_BASE));
	assert_false(lapic_msr_read(&f->lapic, 0x802, &value));	/* not in x2APIC mode */
	assert_false(lapic_msr_write(&f->lapic, 0x80b, 0));
}

/* All four ways to a register. */
static void test_no_speculation(void **state)
{
	struct fixture *f = *state, x = { 0 };

	(void)read_msr(f, X2APIC_MSRS + APIC_TPR);
	assert_true(nospec_took(APIC_TPR, APIC_REGS));
	write_msr(f, X2APIC_MSRS + APIC_TPR, 0);
	assert_true(nospec_took(APIC_TPR, APIC_REGS));
	lapic_init(&x.lapic, 1, &env, &x, &fake_clock, &tsc_offset);
	(void)lapic_mmio_read(&x.lapic, APIC_TPR << 4, 4);
	assert_true(nospec_took(APIC_TPR, APIC_REGS));
	lapic_mmio_write(&x.lapic, APIC_TPR << 4, 4, 0);
	assert_true(nospec_took(APIC_TPR, APIC_REGS));
	timer_disarm(&x.lapic.timer);
}

static void test_modes(void **state)
{
	static const struct { uint64_t from, to; bool is_legal; } rows[] = {
		{ XAPIC, XAPIC, true }, { XAPIC, X2APIC, true }, { XAPIC, LAPIC_BASE, true },
		{ XAPIC, LAPIC_BASE | 0x400, false }, { X2APIC, XAPIC, false }, { X2APIC, LAPIC_BASE, true },
		{ X2APIC, X2APIC, true }, { X2APIC, LAPIC_BASE | 0x400, false }, { LAPIC_BASE, XAPIC, true },
		{ LAPIC_BASE, X2APIC, false }, { XAPIC, XAPIC | 1, false }, { XAPIC, XAPIC | 1ULL << 60, false },
		{ XAPIC, 0x800 | 0xfed00000, true }, { XAPIC, 0x800 | 0x123456000ULL, true },	/* the page moves */
		{ X2APIC, 0xc00 | 0xfed00000, true }, { XAPIC, 0x400 | 0xfed00000, false },
		{ XAPIC, XAPIC | 0x200, false },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct fixture f = { 0 };

		lapic_init(&f.lapic, 0, &env, &f, &fake_clock, &tsc_offset);
		assert_int_equal(f.lapic.s.base_msr, XAPIC | 0x100);
		assert_true(lapic_base_write(&f.lapic, rows[i].from));
		if (lapic_base_write(&f.lapic, rows[i].to) != rows[i].is_legal)
			fail_msg("row %zu", i);
		assert_int_equal(f.lapic.s.base_msr, (rows[i].is_legal ? rows[i].to : rows[i].from) | 0x100);
		timer_disarm(&f.lapic.timer);
	}
}

static void test_reset(void **state)
{
	struct fixture f = { 0 }, *ap = *state;

	lapic_init(&f.lapic, 0, &env, &f, &fake_clock, &tsc_offset);
	assert_true(lapic_takes_extint(&f.lapic));	/* the boot processor starts in virtual wire mode */
	assert_true(lapic_is_enabled(&f.lapic));
	lapic_mmio_write(&f.lapic, 0x350, 4, 0x10000 | LINT0_EXTINT);
	assert_false(lapic_takes_extint(&f.lapic));
	assert_true(lapic_base_write(&f.lapic, LAPIC_BASE));
	assert_true(lapic_takes_extint(&f.lapic));	/* switched off: LINT0 is INTR */
	assert_false(lapic_is_enabled(&f.lapic));

	assert_false(lapic_takes_extint(&ap->lapic));
	lapic_post(&ap->lapic, 0x40, false);
	write_msr(ap, 0x838, 1000);
	lapic_reset(&ap->lapic, true);
	assert_true(lapic_is_x2apic(&ap->lapic));	/* INIT keeps mode and ID */
	assert_int_equal(read_msr(ap, 0x802), 5);
	assert_int_equal(read_msr(ap, 0x80d), 1U << 5);
	assert_int_equal(read_msr(ap, 0x80f), 0xff);
	assert_int_equal(lapic_pending(&ap->lapic), -1);
	assert_int_equal(read_msr(ap, 0x838), 0);
	assert_int_equal(timer_next(), TIMER_NEVER);
	lapic_post(&ap->lapic, 0x40, false);		/* disabled by software: takes nothing */
	assert_int_equal(lapic_pending(&ap->lapic), -1);
	write_msr(ap, 0x836, 0x40);
	assert_int_equal(read_msr(ap, 0x836), 0x10040);	/* and its LVT stays masked */
	check_invariants(&ap->lapic);
}

static void test_xapic_page(void **state)
{
	static const struct { unsigned offset; uint32_t write, read; } rows[] = {
		{ 0x020, 0xffffffff, 5U << 24 }, { 0x030, 0, 0x00060014 }, { 0x080, 0x12345678, 0x78 },
		{ 0x0d0, 0xffffffff, 0xff000000 }, { 0x0e0, 0, 0x0fffffff }, { 0x0f0, 0xfffff1ff, 0x1ff },
		{ 0x310, 0xffffffff, 0xff000000 }, { 0x320, 0xffffffff, 0x000700ff }, { 0x350, 0xffffffff, 0x0001a7ff },
		{ 0x370, 0xffffffff, 0x000100ff }, { 0x380, 77, 77 }, { 0x3e0, 0xff, 0x0b }, { 0x0b0, 7, 0 },
		{ 0x090, 0, 0 }, { 0x100, 0xff, 0 },
	};
	struct fixture f = { 0 };
	struct lapic *lapic = &f.lapic;

	(void)state;
	lapic_init(lapic, 5, &env, &f, &fake_clock, &tsc_offset);
	lapic_mmio_write(lapic, 0xf0, 4, 0x1ff);
	for (size_t i = 0; i < countof(rows); i++) {
		lapic_mmio_write(lapic, rows[i].offset, 4, rows[i].write);
		if (lapic_mmio_read(lapic, rows[i].offset, 4) != rows[i].read)
			fail_msg("%#x: %#llx", rows[i].offset,
				 (unsigned long long)lapic_mmio_read(lapic, rows[i].offset, 4));
		lapic_mmio_write(lapic, 0x320, 4, 0x10000);
	}
	assert_int_equal(lapic_mmio_read(lapic, 0x280, 4), 0);
	(void)lapic_mmio_read(lapic, 0x3f0, 4);		/* SELF IPI is not in the page */
	lapic_mmio_write(lapic, 0x000, 4, 1);
	lapic_mmio_write(lapic, 0x280, 4, 0);
	assert_int_equal(lapic_mmio_read(lapic, 0x280, 4), 0x80);
	lapic_mmio_write(lapic, 0x80, 2, 0x99);		/* not a doubleword: nothing happens */
	lapic_mmio_write(lapic, 0x84, 4, 0x99);
	assert_int_equal(lapic_mmio_read(lapic, 0x80, 4), 0x78);
	assert_int_equal(lapic_mmio_read(lapic, 0x84, 4), 0);
	assert_int_equal(lapic_mmio_read(lapic, 0x33, 1), 0);
	assert_int_equal(lapic_mmio_read(lapic, 0x32, 1), 6);
	lapic_mmio_write(lapic, 0x80, 4, 0);
	lapic_post(lapic, 0x61, false);
	take(lapic, 0x61);
	assert_int_equal(lapic_mmio_read(lapic, 0x130, 4), 2);
	lapic_mmio_write(lapic, 0xb0, 4, 0x1234);	/* any value ends it here */
	assert_int_equal(lapic_mmio_read(lapic, 0x130, 4), 0);
	assert_true(lapic_base_write(lapic, X2APIC));
	assert_int_equal(lapic_mmio_read(lapic, 0x30, 4), UINT64_MAX);
	timer_disarm(&lapic->timer);
}

static void test_icr(void **state)
{
	struct fixture *f = *state, x = { 0 };

	write_msr(f, 0x830, 0x300000041ULL);
	assert_int_equal(f->ipis, 1);
	assert_int_equal(f->icr, 0x300000041ULL);
	assert_int_equal(read_msr(f, 0x830), 0x300000041ULL);
	write_msr(f, 0x830, 0x40042);			/* to self: no one else is asked */
	assert_int_equal(f->ipis, 1);
	assert_int_equal(lapic_pending(&f->lapic), 0x42);
	write_msr(f, 0x83f, 0x43);
	assert_int_equal(lapic_pending(&f->lapic), 0x43);
	write_msr(f, 0x830, 0xc0500);			/* INIT to all others */
	assert_int_equal(f->icr, 0xc0500);
	write_msr(f, 0x830, 0x600 | 0x08);		/* SIPI: its vector is a page number */
	assert_int_equal(f->ipis, 3);
	write_msr(f, 0x828, 0);
	assert_int_equal(read_msr(f, 0x828), 0);
	write_msr(f, 0x830, 0x0f);			/* vector below 16 */
	assert_int_equal(f->ipis, 3);
	write_msr(f, 0x828, 0);
	assert_int_equal(read_msr(f, 0x828), 0x20);

	lapic_init(&x.lapic, 1, &env, &x, &fake_clock, &tsc_offset);
	lapic_mmio_write(&x.lapic, 0x310, 4, 0x02000000);
	assert_int_equal(x.ipis, 0);
	lapic_mmio_write(&x.lapic, 0x300, 4, 0x1041);
	assert_int_equal(x.ipis, 1);
	assert_int_equal(x.icr, 0x0200000000000041ULL);
	assert_int_equal(lapic_mmio_read(&x.lapic, 0x300, 4), 0x41);	/* delivered: not pending */
	timer_disarm(&x.lapic.timer);
}

/* A loaded ICR: the whole target of an x2APIC stays, bits that a guest cannot write go. */
static void test_icr_is_loaded(void **state)
{
	struct fixture *f = *state;

	f->lapic.s.icr = UINT64_MAX;
	lapic_after_load(&f->lapic);
	assert_int_equal(read_msr(f, 0x830), 0xffffffff000ccfffULL);
}

/* Errors interrupt once per clearing; an illegal error vector causes nothing further. */
static void test_errors(void **state)
{
	struct fixture *f = *state;

	write_msr(f, 0x837, 0xfe);
	lapic_post(&f->lapic, 0x05, false);
	assert_int_equal(lapic_pending(&f->lapic), 0xfe);
	take(&f->lapic, 0xfe);
	lapic_post(&f->lapic, 0x06, false);
	assert_int_equal(f->lapic.irr_words, 0);
	write_msr(f, 0x828, 0);
	assert_int_equal(read_msr(f, 0x828), 0x40);
	write_msr(f, 0x837, 0x03);
	lapic_post(&f->lapic, 0x05, false);
	assert_int_equal(f->lapic.irr_words, 0);
	check_invariants(&f->lapic);
}

static void test_destinations(void **state)
{
	static const struct { bool is_x2; uint32_t id, ldr, dfr, dest; bool is_logical, matches; } rows[] = {
		{ false, 3, 0, 0xffffffff, 3, false, true }, { false, 3, 0, 0xffffffff, 4, false, false },
		{ false, 3, 0, 0xffffffff, 0xff, false, true }, { false, 3, 0, 0xffffffff, 0xffffffff, false, true },
		{ false, 3, 0x08000000, 0xffffffff, 0x0a, true, true },		/* flat */
		{ false, 3, 0x08000000, 0xffffffff, 0x07, true, false },
		{ false, 3, 0x08000000, 0xffffffff, 0xff, true, true },
		{ false, 3, 0x24000000, 0x0fffffff, 0x25, true, true },		/* cluster 2, member 4 */
		{ false, 3, 0x24000000, 0x0fffffff, 0x15, true, false },
		{ false, 3, 0x24000000, 0x0fffffff, 0x22, true, false },
		{ false, 3, 0x24000000, 0x0fffffff, 0xff, true, true },
		{ false, 3, 0x24000000, 0x5fffffff, 0x25, true, false },		/* no such model */
		{ true, 3, 0, 0, 3, false, true }, { true, 3, 0, 0, 0xff, false, false },
		{ true, 3, 0, 0, 0xffffffff, false, true }, { true, 3, 0, 0, 0x08, true, true },
		{ true, 3, 0, 0, 0x07, true, false }, { true, 0x13, 0, 0, 0x10008, true, true },
		{ true, 0x13, 0, 0, 0x08, true, false }, { true, 0x13, 0, 0, 0xffffffff, true, true },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct fixture f = { 0 };

		lapic_init(&f.lapic, rows[i].id, &env, &f, &fake_clock, &tsc_offset);
		if (rows[i].is_x2) {
			assert_true(lapic_base_write(&f.lapic, X2APIC));
		} else {
			lapic_mmio_write(&f.lapic, 0xd0, 4, rows[i].ldr);
			lapic_mmio_write(&f.lapic, 0xe0, 4, rows[i].dfr);
		}
		if (lapic_matches(&f.lapic, rows[i].dest, rows[i].is_logical) != rows[i].matches)
			fail_msg("row %zu", i);
		timer_disarm(&f.lapic.timer);
	}
}

static void test_one_shot(void **state)
{
	struct fixture *f = *state;
	uint64_t tick = FAKE_HZ / LAPIC_TIMER_HZ;

	write_msr(f, 0x83e, 0x0b);			/* by 1 */
	write_msr(f, 0x832, 0x40);
	write_msr(f, 0x838, 1000);
	clock_advance(250 * tick);
	assert_int_equal(read_msr(f, 0x839), 750);
	write_msr(f, 0x83e, 0x03);			/* by 16: the 750 left take 16 times as long */
	clock_advance(749 * 16 * tick);
	assert_int_equal(f->lapic.irr_words, 0);
	assert_in_range(read_msr(f, 0x839), 1, 2);
	clock_advance(2 * 16 * tick);
	assert_int_equal(lapic_pending(&f->lapic), 0x40);
	assert_int_equal(read_msr(f, 0x839), 0);
	take(&f->lapic, 0x40);
	clock_advance(FAKE_HZ);
	assert_int_equal(f->lapic.irr_words, 0);
	write_msr(f, 0x838, 1000);
	write_msr(f, 0x838, 0);				/* stops */
	clock_advance(FAKE_HZ);
	assert_int_equal(f->lapic.irr_words, 0);
	write_msr(f, 0x832, 0x10040);			/* masked: counts, says nothing */
	write_msr(f, 0x838, 1000);
	clock_advance(FAKE_HZ);
	assert_int_equal(f->lapic.irr_words, 0);
}

static unsigned count_interrupts(struct fixture *f, uint64_t ticks, uint64_t step)
{
	unsigned count = 0;

	for (uint64_t done = 0; done < ticks; done += step) {
		clock_advance(step);
		if (lapic_pending(&f->lapic) < 0)
			continue;
		take(&f->lapic, (uint8_t)lapic_pending(&f->lapic));
		write_msr(f, 0x80b, 0);
		count++;
	}
	return count;
}

static void test_periodic(void **state)
{
	struct fixture *f = *state;

	write_msr(f, 0x83e, 0x0b);
	write_msr(f, 0x832, 0x20040);
	write_msr(f, 0x838, LAPIC_TIMER_HZ / 1000);
	assert_in_range(count_interrupts(f, 10 * FAKE_HZ, fake_us(100)), 9999, 10001);
	clock_jump(FAKE_HZ);				/* a thousand missed: one, and the phase stays */
	assert_int_equal(count_interrupts(f, fake_us(50), fake_us(50)), 1);
	assert_in_range(count_interrupts(f, FAKE_HZ, fake_us(100)), 999, 1001);
	write_msr(f, 0x838, 1);				/* 100 ns: slowed down to what leaves room to live */
	assert_in_range(count_interrupts(f, FAKE_HZ, fake_us(10)), 19000, 20001);
}

#define TIMER_TICK	(FAKE_HZ / LAPIC_TIMER_HZ)

/* 1000 counts, vector 0x40. */
static void start_count(struct fixture *f, uint32_t mode)
{
	write_msr(f, 0x83e, 0x0b);
	write_msr(f, 0x832, mode | 0x40);
	write_msr(f, 0x838, 1000);
}

static void act_mask(struct fixture *f) { write_msr(f, 0x832, 0x30040); }
static void act_unmask(struct fixture *f) { act_mask(f); write_msr(f, 0x832, 0x20040); }
static void act_vector(struct fixture *f) { write_msr(f, 0x832, 0x20041); }
static void act_vector_back(struct fixture *f) { act_vector(f); write_msr(f, 0x832, 0x20040); }
static void act_one_shot(struct fixture *f) { write_msr(f, 0x832, 0x41); }
static void act_initial(struct fixture *f) { write_msr(f, 0x838, 2000); }
static void act_stop(struct fixture *f) { write_msr(f, 0x838, 0); }
static void act_divide(struct fixture *f) { write_msr(f, 0x83e, 0); }
static void act_priority(struct fixture *f) { write_msr(f, 0x808, 0x50); write_msr(f, 0x808, 0); }
static void act_other_source(struct fixture *f) { lapic_post(&f->lapic, 0x40, false); }
static void act_soft_off(struct fixture *f) { write_msr(f, 0x80f, 0xff); write_msr(f, 0x80f, 0x1ff); }
static void act_off(struct fixture *f) { assert_true(lapic_base_write(&f->lapic, LAPIC_BASE)); }
static void act_init(struct fixture *f) { lapic_reset(&f->lapic, true); write_msr(f, 0x80f, 0x1ff); }
static void act_load(struct fixture *f) { lapic_after_load(&f->lapic); }
static void act_nothing(struct fixture *f) { (void)f; }

static void act_deadline(struct fixture *f)
{
	write_msr(f, 0x832, 0x40040);
	lapic_deadline_write(&f->lapic, guest_tsc() + 4500 * TIMER_TICK);
}

/* INIT takes the interrupt away, and that of a deadline waits in its place when another deadline is written. */
static void act_init_deadline(struct fixture *f)
{
	act_init(f);
	write_msr(f, 0x832, 0x40040);
	lapic_deadline_write(&f->lapic, 1);
	act_deadline(f);
}

static void act_load_deadline(struct fixture *f)
{
	f->lapic.s.lvt[1] = 0x40040;
	f->lapic.s.tsc_deadline = guest_tsc() + 4500 * TIMER_TICK;
	lapic_after_load(&f->lapic);
}

#define NEVER	UINT32_MAX

static uint64_t counts_ahead(void)
{
	return timer_next() == TIMER_NEVER ? NEVER : (timer_next() - fake_now) / TIMER_TICK;
}

/*
 * While the interrupt of a period waits, no timer of the host is armed for the next one, for it could not be told
 * from the first. It is armed, in phase, when the first is taken. Whatever else happens meanwhile: no interrupt is lost, none
 * comes twice, and no other timer is taken for that one.
 */
static void test_periodic_waits(void **state)
{
	static const struct {
		void (*act)(struct fixture *f);
		unsigned before, behind;	/* counts to the host's timer, before and behind the first one is taken */
		unsigned more;			/* interrupts in the next 5000 counts */
	} rows[] = {
		{ act_nothing, NEVER, 700, 5 }, { act_mask, NEVER, NEVER, 0 }, { act_unmask, NEVER, 700, 5 }, { act_vector, 700, 700, 5 },
		{ act_vector_back, 700, 700, 5 }, { act_one_shot, 700, 700, 1 }, { act_initial, NEVER, 2000, 2 }, { act_stop, NEVER, NEVER, 0 },
		{ act_divide, NEVER, 1400, 2 }, { act_priority, NEVER, 700, 5 }, { act_other_source, NEVER, 700, 5 }, { act_soft_off, NEVER, NEVER, 0 },
		{ act_off, NEVER, NEVER, 0 }, { act_init, NEVER, NEVER, 0 }, { act_load, NEVER, 700, 5 }, { act_deadline, 4500, 4500, 1 },
		{ act_init_deadline, 4500, 4500, 1 }, { act_load_deadline, 4500, 4500, 1 },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct fixture *f;

		setup(state);
		f = *state;
		start_count(f, 0x20000);
		assert_int_equal(counts_ahead(), 1000);
		clock_advance(1000 * TIMER_TICK);
		assert_int_equal(lapic_pending(&f->lapic), 0x40);
		assert_int_equal(counts_ahead(), NEVER);
		clock_advance(5300 * TIMER_TICK);
		assert_int_equal(read_msr(f, 0x839), 700);
		rows[i].act(f);
		check_invariants(&f->lapic);
		assert_int_equal(counts_ahead(), rows[i].before);
		take(&f->lapic, 0x40);
		(void)!lapic_msr_write(&f->lapic, 0x80b, 0);
		check_invariants(&f->lapic);
		assert_int_equal(counts_ahead(), rows[i].behind);
		assert_int_equal(count_interrupts(f, 5000 * TIMER_TICK, 100 * TIMER_TICK), rows[i].more);
		assert_int_equal(teardown(state), 0);
	}
}

/* A vector that is refused is an error, and no request. ESR takes no second one, so the count waits until it is written, and goes on in phase. */
static void test_refused_vector(void **state)
{
	static const struct { uint32_t vector; bool is_refused; } rows[] = { { 0x0f, true }, { 0, true }, { 0x10, false } };

	for (size_t i = 0; row_of(rows, i); i++) {
		struct fixture *f;

		setup(state);
		f = *state;
		write_msr(f, 0x83e, 0x0b);
		write_msr(f, 0x832, 0x20000 | rows[i].vector);
		write_msr(f, 0x838, 1000);
		for (unsigned periods = 0; periods < 2; periods++) {
			clock_advance(1300 * TIMER_TICK);
			check_invariants(&f->lapic);
			assert_int_equal(counts_ahead(), NEVER);
			write_msr(f, 0x828, 0);
			assert_int_equal(read_msr(f, 0x828), rows[i].is_refused ? 0x40 : 0);
			assert_int_equal(counts_ahead(), 700 - 300 * periods);
			assert_int_equal(f->lapic.irr_words != 0, !rows[i].is_refused);
		}
		assert_int_equal(teardown(state), 0);
	}
}

/* An interrupt of the same vector, from wherever: the end of a period while it waits is one with it, one behind it is not. */
static void test_shared_vector(void **state)
{
	static const struct { uint32_t mode; unsigned taken_after, ahead; } rows[] = {
		{ 0x20000, 300, 700 }, { 0x20000, 999, 1 }, { 0x20000, 1000, 1000 }, { 0x20000, 2300, 700 }, { 0, 300, 700 }, { 0, 2300, NEVER },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct fixture *f;

		setup(state);
		f = *state;
		lapic_post(&f->lapic, 0x40, false);
		start_count(f, rows[i].mode);
		clock_advance(rows[i].taken_after * TIMER_TICK);
		take(&f->lapic, 0x40);
		write_msr(f, 0x80b, 0);
		assert_int_equal(f->lapic.irr_words, 0);
		assert_int_equal(counts_ahead(), rows[i].ahead);
		assert_int_equal(teardown(state), 0);
	}
}

/* Saved while the interrupt of a period waits, and loaded elsewhere and later. */
static void test_loaded_period(void **state)
{
	struct fixture *f = *state;
	struct lapic_state saved;

	start_count(f, 0x20000);
	clock_advance(1000 * TIMER_TICK);
	saved = f->lapic.s;
	teardown(state);
	setup(state);
	fake_now += 3300 * TIMER_TICK;
	f->lapic.s = saved;
	lapic_after_load(&f->lapic);
	check_invariants(&f->lapic);
	assert_int_equal(counts_ahead(), NEVER);
	assert_int_equal(count_interrupts(f, 3000 * TIMER_TICK, 100 * TIMER_TICK), 4);	/* the one that waits, and three */
}

/* An expired one-shot stays at zero whatever mode it is switched to, until a count is written. */
static void test_expired_one_shot(void **state)
{
	static const struct { bool has_fired; } rows[] = { { true }, { false } };
	struct fixture *f = *state;
	uint64_t tick = FAKE_HZ / LAPIC_TIMER_HZ;

	write_msr(f, 0x83e, 0x0b);
	for (size_t i = 0; row_of(rows, i); i++) {
		write_msr(f, 0x832, 0x40);
		write_msr(f, 0x838, 1000);
		if (rows[i].has_fired)
			clock_advance(1500 * tick);
		else
			fake_now += 1500 * tick;	/* due, and the timer list was not looked at yet */
		write_msr(f, 0x832, 0x20041);
		assert_int_equal(lapic_pending(&f->lapic), 0x40);
		take(&f->lapic, 0x40);
		write_msr(f, 0x80b, 0);
		assert_int_equal(read_msr(f, 0x838), 1000);
		assert_int_equal(read_msr(f, 0x839), 0);
		clock_advance(FAKE_HZ);
		assert_int_equal(f->lapic.irr_words, 0);
		assert_int_equal(read_msr(f, 0x839), 0);
		write_msr(f, 0x838, 1000);
		assert_int_equal(read_msr(f, 0x839), 1000);
		assert_int_equal(count_interrupts(f, 5000 * tick, 100 * tick), 5);
	}
	write_msr(f, 0x832, 0x40);			/* periodic to one-shot in full run: it goes on once */
	clock_advance(100 * tick);
	assert_int_equal(read_msr(f, 0x839), 900);
	assert_int_equal(count_interrupts(f, 5000 * tick, 100 * tick), 1);
}

static void move_tsc(struct fixture *f, uint64_t moved)
{
	lapic_timer_settle(&f->lapic);
	tsc_offset += moved;
	lapic_tsc_moved(&f->lapic);
}

static void act_slower(struct fixture *f) { write_msr(f, 0x83e, 0x03); }
static void act_to_one_shot(struct fixture *f) { write_msr(f, 0x832, 0x40); }
static void act_to_periodic(struct fixture *f) { write_msr(f, 0x832, 0x20041); }
static void act_to_deadline(struct fixture *f) { write_msr(f, 0x832, 0x40041); }
static void act_to_mask(struct fixture *f) { write_msr(f, 0x832, read_msr(f, 0x832) | 0x10000); }
static void act_next_deadline(struct fixture *f) { lapic_deadline_write(&f->lapic, guest_tsc() + FAKE_HZ); }
static void act_no_deadline(struct fixture *f) { lapic_deadline_write(&f->lapic, 0); }
static void act_tsc_back(struct fixture *f) { move_tsc(f, 0 - FAKE_HZ); }
static void act_tsc_on(struct fixture *f) { move_tsc(f, 300 * TIMER_TICK); }

/*
 * The interrupt of a count, a period or a deadline that is over comes, and comes once, whatever is written to the timer
 * before the host's timers are looked at.
 */
static void test_over_fires_once(void **state)
{
	static const struct { uint32_t mode; void (*act)(struct fixture *f); } rows[] = {
		{ 0, act_slower }, { 0, act_to_one_shot }, { 0, act_one_shot }, { 0, act_to_periodic }, { 0, act_to_deadline },
		{ 0, act_to_mask }, { 0, act_stop }, { 0, act_initial }, { 0, act_soft_off },
		{ 0x20000, act_slower }, { 0x20000, act_to_one_shot }, { 0x20000, act_one_shot }, { 0x20000, act_to_periodic },
		{ 0x20000, act_to_deadline }, { 0x20000, act_to_mask }, { 0x20000, act_stop }, { 0x20000, act_initial },
		{ 0x20000, act_soft_off },
		{ 0x40000, act_slower }, { 0x40000, act_to_one_shot }, { 0x40000, act_to_periodic }, { 0x40000, act_to_deadline },
		{ 0x40000, act_to_mask }, { 0x40000, act_next_deadline }, { 0x40000, act_no_deadline }, { 0x40000, act_tsc_back },
		{ 0x40000, act_tsc_on }, { 0x40000, act_soft_off },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct fixture *f;

		setup(state);
		f = *state;
		start_count(f, rows[i].mode);
		lapic_deadline_write(&f->lapic, guest_tsc() + 1000 * TIMER_TICK);
		fake_now += 1000 * TIMER_TICK;
		rows[i].act(f);
		check_invariants(&f->lapic);
		assert_int_equal(lapic_pending(&f->lapic), 0x40);
		take(&f->lapic, 0x40);
		(void)!lapic_msr_write(&f->lapic, 0x80b, 0);
		assert_int_equal(f->lapic.s.tsc_deadline != 0, rows[i].act == act_next_deadline);
		clock_advance(900 * TIMER_TICK);	/* the old end is over, no new one has come */
		assert_int_equal(f->lapic.irr_words, 0);
		assert_int_equal(teardown(state), 0);
	}
}

/* One tick earlier nothing is over, and nothing is owed: what is written counts alone. */
static void test_not_over_yet(void **state)
{
	static const struct { uint32_t mode; void (*act)(struct fixture *f); } rows[] = {
		{ 0, act_stop }, { 0x20000, act_stop }, { 0x20000, act_to_mask }, { 0x40000, act_no_deadline }, { 0x40000, act_to_one_shot },
		{ 0x40000, act_tsc_back },
	};

	for (size_t i = 0; row_of(rows, i); i++) {
		struct fixture *f;

		setup(state);
		f = *state;
		start_count(f, rows[i].mode);
		lapic_deadline_write(&f->lapic, guest_tsc() + 1000 * TIMER_TICK);
		fake_now += 1000 * TIMER_TICK - 1;
		rows[i].act(f);
		clock_advance(900 * TIMER_TICK);
		assert_int_equal(f->lapic.irr_words, 0);
		assert_int_equal(teardown(state), 0);
	}
}

/* Under the mask the timer counts and costs nothing: no timer of the host is armed. Unmasked it goes on in phase. */
static void test_masked_timer(void **state)
{
	struct fixture *f = *state;
	uint64_t tick = FAKE_HZ / LAPIC_TIMER_HZ;

	write_msr(f, 0x83e, 0x0b);
	write_msr(f, 0x832, 0x30040);			/* periodic, masked */
	write_msr(f, 0x838, 1000);
	assert_int_equal(timer_next(), TIMER_NEVER);
	clock_advance(5300 * tick);
	assert_int_equal(read_msr(f, 0x839), 700);
	write_msr(f, 0x832, 0x20040);
	assert_int_equal(f->lapic.irr_words, 0);	/* none for the periods that went by */
	assert_int_equal(read_msr(f, 0x839), 700);
	assert_int_equal(timer_next(), fake_now + 700 * tick);
	assert_int_equal(count_interrupts(f, 5000 * tick, 100 * tick), 5);
	write_msr(f, 0x832, 0x30040);
	assert_int_equal(timer_next(), TIMER_NEVER);
	clock_advance(3300 * tick);
	write_msr(f, 0x832, 0x40);			/* one-shot now: what is left of the period */
	assert_int_equal(read_msr(f, 0x839), 400);
	assert_int_equal(count_interrupts(f, 5000 * tick, 100 * tick), 1);

	write_msr(f, 0x832, 0x10040);			/* one-shot, masked: over when it is over */
	write_msr(f, 0x838, 1000);
	assert_int_equal(timer_next(), TIMER_NEVER);
	clock_advance(1001 * tick);
	write_msr(f, 0x83e, 0x00);			/* slower would be more left, were it not over */
	assert_int_equal(read_msr(f, 0x839), 0);
	write_msr(f, 0x832, 0x40);
	assert_int_equal(read_msr(f, 0x839), 0);
	assert_int_equal(count_interrupts(f, 5000 * tick, 100 * tick), 0);

	write_msr(f, 0x832, 0x20040);
	write_msr(f, 0x838, 1000);
	write_msr(f, 0x80f, 0xff);			/* switched off by software: all entries are masked */
	assert_int_equal(timer_next(), TIMER_NEVER);
}

/* The 8259's wire in each mode of LINT0; the level-triggered one with Remote IRR. */
static void test_lint0(void **state)
{
	static const struct { uint32_t lvt; unsigned nmis; int pending; bool extint; } rows[] = {
		{ 0x00700, 0, -1, true }, { 0x10700, 0, -1, false }, { 0x00400, 1, -1, false },
		{ 0x10400, 0, -1, false }, { 0x00045, 0, 0x45, false }, { 0x10045, 0, -1, false },
		{ 0x08045, 0, 0x45, false }, { 0x00200, 0, -1, false }, { 0x00500, 0, -1, false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < countof(rows); i++) {
		f->nmis = f->kicks = 0;
		write_msr(f, 0x835, rows[i].lvt);
		lapic_set_lint0(&f->lapic, true);
		lapic_set_lint0(&f->lapic, true);	/* no second edge */
		if (f->nmis != rows[i].nmis || lapic_lint0_is_nmi(&f->lapic) != rows[i].nmis || lapic_pending(&f->lapic) != rows[i].pending ||
		    lapic_takes_extint(&f->lapic) != rows[i].extint || (rows[i].extint && !f->kicks))
			fail_msg("row %zu: %u NMIs, vector %#x", i, f->nmis, (unsigned)lapic_pending(&f->lapic));
		assert_int_equal(read_msr(f, 0x835), rows[i].lvt | (rows[i].lvt == 0x08045 ? 0x4000 : 0));
		if (rows[i].pending >= 0) {
			take(&f->lapic, 0x45);
			write_msr(f, 0x80b, 0);		/* still high: only a level asks again */
			assert_int_equal(lapic_pending(&f->lapic), rows[i].lvt & 0x8000 ? 0x45 : -1);
		}
		lapic_set_lint0(&f->lapic, false);
		if (lapic_pending(&f->lapic) >= 0) {
			take(&f->lapic, 0x45);
			write_msr(f, 0x80b, 0);
		}
		assert_int_equal(f->lapic.irr_words, 0);
		assert_int_equal(read_msr(f, 0x835), rows[i].lvt);
	}
	write_msr(f, 0x835, 0x10700);
	lapic_set_lint0(&f->lapic, true);
	f->kicks = 0;
	write_msr(f, 0x835, 0x00700);			/* unmasked while the 8259 waits */
	assert_int_equal(f->kicks, 1);
}

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	uint64_t now = guest_tsc();

	lapic_deadline_write(&f->lapic, now + 1000);	/* not in that mode: ignored */
	assert_int_equal(f->lapic.s.tsc_deadline, 0);
	write_msr(f, 0x832, 0x40040);
	write_msr(f, 0x838, 1000);			/* and the count is ignored in this one */
	assert_int_equal(timer_next(), TIMER_NEVER);
	lapic_deadline_write(&f->lapic, now + 1000);
	assert_int_equal(f->lapic.s.tsc_deadline, now + 1000);
	assert_int_equal(timer_next(), fake_now + 1000);
	clock_advance(999);
	assert_int_equal(f->lapic.irr_words, 0);
	clock_advance(1);
	assert_int_equal(lapic_pending(&f->lapic), 0x40);
	assert_int_equal(f->lapic.s.tsc_deadline, 0);
	take(&f->lapic, 0x40);
	write_msr(f, 0x80b, 0);
	f->kicks = 0;
	lapic_deadline_write(&f->lapic, 1);		/* in the past: at once, before the next instruction */
	assert_int_equal(lapic_pending(&f->lapic), 0x40);
	assert_int_equal(f->kicks, 1);
	assert_int_equal(f->lapic.s.tsc_deadline, 0);
	assert_int_equal(timer_next(), TIMER_NEVER);
	take(&f->lapic, 0x40);
	write_msr(f, 0x80b, 0);
	lapic_deadline_write(&f->lapic, UINT64_MAX);	/* far away, not "passed" by a sum that wraps */
	assert_int_equal(f->lapic.irr_words, 0);
	assert_int_equal(timer_next(), TIMER_NEVER);
	now = guest_tsc();
	lapic_deadline_write(&f->lapic, now + 1000);
	tsc_offset += 400;				/* the guest moves its TSC: the deadline is nearer */
	lapic_tsc_moved(&f->lapic);
	assert_int_equal(timer_next(), fake_now + 600);
	tsc_offset += 600;
	lapic_tsc_moved(&f->lapic);
	assert_int_equal(lapic_pending(&f->lapic), 0x40);
	lapic_deadline_write(&f->lapic, now + FAKE_HZ);
	lapic_deadline_write(&f->lapic, 0);
	assert_int_equal(timer_next(), TIMER_NEVER);
	lapic_deadline_write(&f->lapic, now + FAKE_HZ);
	write_msr(f, 0x832, 0x40);			/* leaving the mode disarms */
	assert_int_equal(timer_next(), TIMER_NEVER);
	assert_int_equal(read_msr(f, 0x839), 0);
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 17;

	for (int i = 0; i < 300000; i++) {
		uint64_t value;

		seed = seed * 1664525 + 1013904223;
		value = seed & 0x100 ? seed >> 8 : (uint64_t)seed << 20;
		switch (seed >> 28) {
		case 0: case 1: case 2: case 3:
			value = seed & 0x200 ? value & 0xff : value;
			(void)!lapic_msr_write(&f->lapic, 0x800 + (seed >> 20 & 0x3f), value);
			break;
		case 4:
			(void)!lapic_msr_read(&f->lapic, 0x800 + (seed >> 20 & 0xff), &value);
			break;
		case 5: case 6:
			lapic_mmio_write(&f->lapic, seed >> 12 & 0xff0, 4, value);
			break;
		case 7:
			(void)lapic_mmio_read(&f->lapic, seed >> 12 & 0xfff, 4);
			break;
		case 8:
			(void)!lapic_base_write(&f->lapic, LAPIC_BASE | (seed >> 10 & 0xc00));
			break;
		case 9: case 10:
			lapic_post(&f->lapic, (uint8_t)(seed >> 9), seed & 0x80);
			break;
		case 11:
			lapic_deadline_write(&f->lapic, value);
			break;
		case 12:
			clock_jump(seed >> 10);
			break;
		default:
			if (lapic_pending(&f->lapic) >= 0)
				take(&f->lapic, (uint8_t)lapic_pending(&f->lapic));
			break;
		}
		check_invariants(&f->lapic);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_priorities), TEST(test_level_eoi), TEST(test_x2apic_faults),
		cmocka_unit_test(test_modes), TEST(test_reset), cmocka_unit_test(test_xapic_page), TEST(test_icr), TEST(test_no_speculation),
		TEST(test_offered_eoi), TEST(test_refused_offer), TEST(test_nested_offers), TEST(test_outer_level),
		TEST(test_standing_offer), TEST(test_offer_below_priority),
		TEST(test_edge_becomes_level), TEST(test_offer_and_page), TEST(test_no_offer), TEST(test_loaded_offer),
		TEST(test_icr_is_loaded), TEST(test_errors), cmocka_unit_test(test_destinations), TEST(test_one_shot), TEST(test_periodic),
		cmocka_unit_test(test_periodic_waits), cmocka_unit_test(test_shared_vector), TEST(test_refused_vector), TEST(test_loaded_period),
		TEST(test_expired_one_shot), TEST(test_over_fires_once), TEST(test_not_over_yet), TEST(test_masked_timer), TEST(test_lint0), TEST(test_deadline), TEST(test_random),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
