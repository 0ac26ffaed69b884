/* SPDX-License-Identifier: MIT */
/* hv/dev/ioapic.c: what becomes of edges and levels, and the register window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/dev/ioapic.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "port_fake.h"

#define MASKED	0x10000U
#define LEVEL	0x08000U
#define REMOTE	0x04000U

struct fixture {
	struct ioapic ioapic;
	struct bus bus;
	struct ioapic_msg last;
	unsigned sent;
	bool is_refused;
};

static bool on_message(void *ctx, const struct ioapic_msg *msg)
{
	struct fixture *f = ctx;

	f->last = *msg;
	f->sent++;
	return !f->is_refused;
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	bus_init(&f.bus, "memory");
	ioapic_init(&f.ioapic, on_message, &f);
	*state = &f;
	return ioapic_map(&f.ioapic, &f.bus);
}

static void set(struct fixture *f, unsigned index, uint32_t value)
{
	out(&f->bus, IOAPIC_BASE, 4, index);
	out(&f->bus, IOAPIC_BASE + 0x10, 4, value);
}

static uint32_t get(struct fixture *f, unsigned index)
{
	out(&f->bus, IOAPIC_BASE, 4, index);
	return (uint32_t)in(&f->bus, IOAPIC_BASE + 0x10, 4);
}

static void test_registers(void **state)
{
	static const struct { uint8_t index; uint32_t write, read; } rows[] = {
		{ 0x00, 0xffffffff, 0x0f000000 }, { 0x01, 0xffffffff, 0x00170020 }, { 0x02, 0, 0x0f000000 },
		{ 0x03, 0xffffffff, 0 }, { 0x10, 0xffffffff & ~LEVEL, 0x00012fff }, { 0x11, 0xffffffff, 0xff000000 },
		{ 0x3e, 0x00018041, 0x00018041 }, { 0x3f, 0x01000000, 0x01000000 }, { 0x40, 0xffffffff, 0 },
		{ 0xff, 0xffffffff, 0 },
	};
	struct fixture *f = *state;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(get(f, 0x10 + 2 * pin), MASKED);
		assert_true(nospec_took(2 * pin, 2 * IOAPIC_PINS));
		set(f, 0x10 + 2 * pin, MASKED);
		assert_true(nospec_took(2 * pin, 2 * IOAPIC_PINS));
	}
	for (size_t i = 0; row_of(rows, i); i++) {
		set(f, rows[i].index, rows[i].write);
		assert_int_equal(get(f, rows[i].index), rows[i].read);
	}
	assert_int_equal(in(&f->bus, IOAPIC_BASE, 4), 0xff);
	assert_int_equal(in(&f->bus, IOAPIC_BASE + 0x20, 4), 0);
	assert_int_equal(f->sent, 0);
}

static void test_edge(void **state)
{
	struct fixture *f = *state;

	ioapic_set_line(&f->ioapic, 4, true);		/* masked: lost */
	set(f, 0x19, 0x03000000);
	set(f, 0x18, 0x0834);
	assert_int_equal(f->sent, 0);
	ioapic_set_line(&f->ioapic, 4, true);		/* no edge */
	assert_int_equal(f->sent, 0);
	ioapic_set_line(&f->ioapic, 4, false);
	ioapic_set_line(&f->ioapic, 4, true);
	assert_int_equal(f->sent, 1);
	assert_int_equal(f->last.vector, 0x34);
	assert_int_equal(f->last.dest, 3);
	assert_true(f->last.is_logical);
	assert_false(f->last.is_level);
	assert_int_equal(f->last.mode, APIC_FIXED);
	ioapic_eoi(&f->ioapic, 0x34);
	assert_int_equal(f->sent, 1);
}

/* An input whose edges are kept: it sends one if its line is up when it begins to send edges, and none if that fell meanwhile. */
static void test_kept_edge(void **state)
{
	struct fixture *f = *state;

	f->ioapic.kept = 1U << 16;
	ioapic_set_line(&f->ioapic, 16, true);
	assert_int_equal(f->sent, 0);
	set(f, 0x31, 0x03000000);
	set(f, 0x30, MASKED | 0x51);
	assert_int_equal(f->sent, 0);
	set(f, 0x30, 0x51);
	assert_int_equal(f->sent, 1);
	assert_int_equal(f->last.vector, 0x51);
	assert_int_equal(f->last.dest, 3);
	assert_false(f->last.is_level);
	set(f, 0x30, 0x52);				/* it was open */
	assert_int_equal(f->sent, 1);
	set(f, 0x30, MASKED | 0x52);
	ioapic_set_line(&f->ioapic, 16, false);
	set(f, 0x30, 0x52);
	assert_int_equal(f->sent, 1);
	set(f, 0x30, MASKED | 0x52);
	ioapic_set_line(&f->ioapic, 16, true);
	ioapic_set_line(&f->ioapic, 17, true);
	set(f, 0x32, 0x53);				/* not one of those */
	assert_int_equal(f->sent, 1);
	set(f, 0x30, LEVEL | 0x52);			/* a level goes out once, not twice */
	assert_int_equal(f->sent, 2);
	assert_true(f->last.is_level);
	set(f, 0x30, 0x52);				/* its end would have sent the next one, which is an edge now */
	assert_int_equal(f->sent, 3);
	assert_false(f->last.is_level || (f->ioapic.s.redir[16] & REDIR_REMOTE_IRR));
	ioapic_eoi(&f->ioapic, 0x52);
	assert_int_equal(f->sent, 3);
	set(f, 0x31, 0x01000000);			/* another destination */
	assert_int_equal(f->sent, 3);
}

static void test_level(void **state)
{
	struct fixture *f = *state;

	ioapic_set_line(&f->ioapic, 16, true);
	set(f, 0x30, LEVEL | 0x51);			/* unmasked while up: goes out at once */
	assert_int_equal(f->sent, 1);
	assert_true(f->last.is_level);
	assert_false(f->last.is_logical);
	assert_int_equal(get(f, 0x30), LEVEL | REMOTE | 0x51);
	ioapic_set_line(&f->ioapic, 16, false);
	ioapic_set_line(&f->ioapic, 16, true);
	assert_int_equal(f->sent, 1);			/* one under way */
	ioapic_eoi(&f->ioapic, 0x50);			/* another vector */
	assert_int_equal(f->sent, 1);
	ioapic_eoi(&f->ioapic, 0x51);
	assert_int_equal(f->sent, 2);			/* still up */
	ioapic_set_line(&f->ioapic, 16, false);
	out(&f->bus, IOAPIC_BASE + 0x40, 4, 0x51);	/* by the EOI register */
	assert_int_equal(f->sent, 2);
	assert_int_equal(get(f, 0x30), LEVEL | 0x51);
	set(f, 0x30, LEVEL | MASKED | 0x51);
	ioapic_set_line(&f->ioapic, 16, true);
	assert_int_equal(f->sent, 2);
	set(f, 0x30, LEVEL | 0x52);
	assert_int_equal(f->sent, 3);
	set(f, 0x30, MASKED | 0x52);			/* Linux' way to clear a stuck Remote IRR */
	set(f, 0x30, LEVEL | MASKED | 0x52);
	assert_int_equal(get(f, 0x30) & REMOTE, 0);
}

/* Nobody took it: Remote IRR must not stick, or the line is dead for ever. */
static void test_refused(void **state)
{
	struct fixture *f = *state;

	f->is_refused = true;
	set(f, 0x30, LEVEL | 0x51);
	ioapic_set_line(&f->ioapic, 16, true);
	assert_int_equal(f->sent, 1);
	assert_int_equal(get(f, 0x30) & REMOTE, 0);
	f->is_refused = false;
	set(f, 0x30, LEVEL | 0x51);
	assert_int_equal(f->sent, 2);
	assert_int_equal(get(f, 0x30) & REMOTE, REMOTE);
}

static void test_modes(void **state)
{
	static const struct { uint32_t entry; enum apic_mode mode; bool is_nmi; } rows[] = {
		{ 0x041, APIC_FIXED, false }, { 0x141, APIC_LOWEST, false }, { 0x241, APIC_SMI, false }, { 0x400, APIC_NMI, true },
		{ 0x500, APIC_INIT, true }, { 0x700, APIC_EXTINT, false }, { 0x700 | LEVEL, APIC_EXTINT, false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; row_of(rows, i); i++) {
		ioapic_set_line(&f->ioapic, 1, false);
		set(f, 0x12, rows[i].entry);
		f->sent = 0;
		ioapic_set_line(&f->ioapic, 1, true);
		assert_int_equal(f->sent, 1);
		assert_int_equal(f->last.mode, rows[i].mode);
		assert_int_equal(get(f, 0x12) & REMOTE, 0);
		assert_int_equal(ioapic_has_nmi(&f->ioapic), rows[i].is_nmi);
		set(f, 0x12, MASKED | rows[i].entry);
		assert_false(ioapic_has_nmi(&f->ioapic));
	}
	set(f, 0x10 + 2 * (IOAPIC_PINS - 1), 0x400);
	assert_true(ioapic_has_nmi(&f->ioapic));
}

static void test_hostile(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 11;

	ioapic_set_line(&f->ioapic, IOAPIC_PINS, true);
	ioapic_set_line(&f->ioapic, UINT32_MAX, true);
	assert_int_equal(f->ioapic.s.lines, 0);
	for (int i = 0; i < 200000; i++) {
		static const uint8_t offsets[] = { 0, 0, 0x10, 0x10, 0x11, 0x40, 0x44, 0xff };

		seed = seed * 1664525 + 1013904223;
		f->is_refused = seed & 0x1000;
		out(&f->bus, IOAPIC_BASE + offsets[seed >> 20 & 7], 1U << (seed >> 23 & 3), seed * 7);
		ioapic_set_line(&f->ioapic, seed >> 26, seed & 0x2000);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_registers), TEST(test_edge), TEST(test_kept_edge), TEST(test_level), TEST(test_refused), TEST(test_modes),
		TEST(test_hostile),
	};

	return cmocka_run_group_tests_name("ioapic", tests, NULL, NULL);
}
