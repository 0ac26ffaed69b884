/* SPDX-License-Identifier: MIT */
/*
 * arch/x86/host/lapic.c in both modes: MSRs, or a page whose registers are here. What must be masked is, commands go to
 * whom they are meant for, and the timer fires when it should, never later.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#undef DIRECT_MAP_BASE
#define DIRECT_MAP_BASE	0x200000000000ULL	/* where nothing of the host is */
#include "arch/x86/host/lapic.c"

#include "cpu_fake.h"
#include "insn_fake.h"
#include "log_fake.h"
#include "mmio_page.h"

#define HZ	2000000000ULL	/* the TSC */
#define APIC_HZ	62500000ULL	/* the APIC's counter behind its divider */

struct cpu_features cpu_features;

static struct { uint32_t regs[0x40]; uint32_t pending_reads; uint64_t started; unsigned sends; } chip;
static struct { uint16_t port; uint8_t val; } outs[16];
static unsigned out_count;
static void (*timer_handler)(uint8_t vector);

void cpu_set_interrupt(uint8_t vector, void (*handler)(uint8_t vector))
{
	assert_int_equal(vector, VECTOR_TIMER);
	timer_handler = handler;
}

uint64_t time_now(void) { return insn_fake.tsc += HZ / 1000000; }
uint64_t time_hz(void) { return HZ; }

static uint32_t get(uint64_t at)
{
	uint64_t gone;

	if (at == 0x390) {
		gone = (insn_fake.tsc - chip.started) * APIC_HZ / HZ;
		return gone < chip.regs[0x38] ? chip.regs[0x38] - (uint32_t)gone : 0;
	}
	if (at == 0x300 && chip.pending_reads) {
		chip.pending_reads--;
		return chip.regs[0x30] | 1 << 12;
	}
	return chip.regs[at >> 4];
}

static void put(uint64_t at, uint32_t val)
{
	chip.regs[at >> 4] = val;
	if (at == 0x380)
		chip.started = insn_fake.tsc;
	chip.sends += at == 0x300;
}

static void port_out(uint16_t port, unsigned size, uint32_t val)
{
	assert_int_equal(size, 1);
	outs[out_count].port = port;
	outs[out_count++].val = (uint8_t)val;
}

static int map_page(void **unused)
{
	(void)unused;
	mmio_page_map(DIRECT_MAP_BASE + LAPIC_BASE, get, put);
	return 0;
}

static int set_up(void **unused)
{
	(void)unused;
	insn_fake_init();
	cpu_fake_install();
	insn_fake.out = port_out;
	insn_fake_msr(0x1b)->val = LAPIC_BASE | BIT(11) | BIT(8);
	for (uint32_t msr = 0x800; msr < 0x840; msr++)
		if (msr == 0x802 || msr == 0x808 || msr == 0x80b || msr == 0x80f || (msr >= 0x830 && msr != 0x831))
			(void)insn_fake_msr(msr);	/* those that x2APIC mode has: there is no ICR_HIGH */
	(void)insn_fake_msr(0x6e0);
	cpu_features = (struct cpu_features){ 0 };
	memset(&chip, 0, sizeof(chip));
	memset(&lapic, 0, sizeof(lapic));
	out_count = 0;
	log_fake_init();
	return 0;
}

static uint64_t msr(uint32_t number) { return insn_fake_msr(number)->val; }

/* ---- Into the right mode ---- */

/* SDM vol. 3, 11.12.5: EXTD with EN is x2APIC; from disabled there is no way but by xAPIC. */
static void test_modes(void **unused)
{
	static const struct { uint64_t base; bool has; uint64_t want; unsigned writes; } rows[] = {
		{ BIT(11), false, BIT(11), 0 }, { BIT(11), true, BIT(11) | BIT(10), 1 },
		{ 0, false, BIT(11), 1 }, { 0, true, BIT(11) | BIT(10), 2 },
		{ BIT(11) | BIT(10), true, BIT(11) | BIT(10), 1 },
		{ BIT(11) | BIT(10), false, BIT(11) | BIT(10), 1 },	/* CPUID hides it: the firmware knew better */
	};

	(void)unused;
	mmio_page_arm();
	for (size_t i = 0; row_of(rows, i); i++) {
		set_up(NULL);
		insn_fake_msr(0x1b)->val = LAPIC_BASE | rows[i].base;
		cpu_features.has_x2apic = rows[i].has;
		host_lapic_init_other();
		assert_int_equal(msr(0x1b), LAPIC_BASE | rows[i].want);
		assert_int_equal(insn_fake_msr(0x1b)->writes, rows[i].writes);
		assert_int_equal(log_fake_lines, !!(rows[i].base & BIT(10)));
		assert_int_equal(rows[i].want & BIT(10) ? msr(0x80f) : chip.regs[0xf], 0x1ff);	/* on, spurious vector */
	}
}

/* 8259: ICW1 to ICW4 in order, off the exceptions' vectors, then all masked. */
static void test_legacy_pic(void **unused)
{
	(void)unused;
	cpu_features.has_x2apic = cpu_features.has_tsc_deadline = true;
	host_lapic_init();
	assert_int_equal(out_count, 10);
	for (unsigned i = 0; i < out_count; i += 2) {
		assert_int_equal(outs[i].port, i == 0 ? 0x20 : 0x21);
		assert_int_equal(outs[i + 1].port, i == 0 ? 0xa0 : 0xa1);
	}
	assert_int_equal(outs[0].val, 0x11);
	assert_true(outs[2].val >= 0x20 && outs[3].val >= 0x20 && outs[2].val != outs[3].val);
	assert_int_equal(outs[4].val, 1 << 2);	/* the slave is on line 2, and knows */
	assert_int_equal(outs[5].val, 2);
	assert_true(outs[8].val == 0xff && outs[9].val == 0xff);
}

/* SDM vol. 3, 11.5.1: mask in bit 16, NMI is mode 4. One processor keeps the NMI pin, so that it is seen once. */
static void test_local_vectors(void **unused)
{
	(void)unused;
	cpu_features.has_x2apic = true;
	host_lapic_init_other();
	assert_int_equal(msr(0x835), 0x10000);
	assert_int_equal(msr(0x836), 0x400);
	assert_int_equal(msr(0x837) & 0x10000, 0x10000);
	assert_int_equal(msr(0x808), 0);
	cpu_fake.index = 1;
	host_lapic_init_other();
	assert_int_equal(msr(0x836), 0x10000);
}

/* The boot processor uses its APIC while another starts: what the other one finds does not change how. */
static void test_mode_is_the_boot_processors(void **unused)
{
	(void)unused;
	mmio_page_arm();
	host_lapic_init_other();
	cpu_fake.index = 1;
	assert_true(host_lapic_init_other());
	insn_fake_msr(0x1b)->val |= BIT(10);
	chip.regs[2] = 7U << 24;
	assert_false(host_lapic_init_other());
	assert_int_equal(host_lapic_id(), 7);
	assert_int_equal(insn_fake_msr(0x836)->writes, 0);
}

/* ---- Commands: 11.6.1 and 11.12.9 ---- */

static void test_send_x2apic(void **unused)
{
	(void)unused;
	cpu_features.has_x2apic = true;
	host_lapic_init_other();
	insn_fake_msr(0x802)->val = 0x12345;
	assert_int_equal(host_lapic_id(), 0x12345);
	assert_true(host_lapic_reaches(0x12345));
	host_lapic_send(0x12345, 0x4500);
	assert_int_equal(msr(0x830), 0x0001234500004500);
	assert_int_equal(insn_fake_msr(0x830)->writes, 1);
	host_lapic_eoi();
	assert_int_equal(insn_fake_msr(0x80b)->writes, 1);
	assert_int_equal(msr(0x80b), 0);
}

static void test_send_xapic(void **unused)
{
	(void)unused;
	mmio_page_arm();
	host_lapic_init_other();
	chip.regs[2] = 7U << 24;
	chip.pending_reads = 5;
	assert_int_equal(host_lapic_id(), 7);
	host_lapic_send(9, 0x4601);
	assert_int_equal(chip.regs[0x31], 9U << 24);
	assert_int_equal(chip.regs[0x30], 0x4601);
	assert_int_equal(chip.sends, 1);
	assert_int_equal(chip.pending_reads, 0);	/* it waited until it was sent */
	assert_int_equal(insn_fake.pauses, 5);
	assert_true(host_lapic_reaches(254));
	assert_false(host_lapic_reaches(255));		/* that is everybody */
	assert_false(host_lapic_reaches(256));
}

/* ---- The timer ---- */

static void test_deadline(void **unused)
{
	(void)unused;
	cpu_features.has_x2apic = cpu_features.has_tsc_deadline = true;
	host_lapic_init();
	assert_int_equal(msr(0x832), 0x40000 | VECTOR_TIMER);
	host_wake_at(5000);
	assert_int_equal(msr(0x6e0), 5000);
	host_wake_at(9000);				/* the earlier one stays, and comes early */
	assert_int_equal(insn_fake_msr(0x6e0)->writes, 1);
	host_wake_at(3000);
	assert_int_equal(msr(0x6e0), 3000);
	timer_handler(VECTOR_TIMER);
	assert_int_equal(cpu_fake.attention, ATTENTION_TIMER);
	host_wake_at(9000);				/* now nothing is armed */
	assert_int_equal(msr(0x6e0), 9000);
	host_wake_at(TIMER_NEVER);
	assert_int_equal(msr(0x6e0), 9000);
	host_wake_at(0);				/* 0 would stop it: 11.5.4.1 */
	assert_int_equal(msr(0x6e0), 1);
}

/* Without the deadline mode its counter is measured, and a deadline has passed when it fires. */
static void test_counter(void **unused)
{
	uint64_t now, ticks;

	(void)unused;
	mmio_page_arm();
	host_lapic_init();
	assert_int_equal(chip.regs[0x3e], 3);		/* divided by 16: table 11-9 */
	assert_in_range(lapic.hz, APIC_HZ - APIC_HZ / 100, APIC_HZ);
	assert_int_equal(chip.regs[0x32], 0x20000 | VECTOR_TIMER);	/* periodic, not masked */
	now = insn_fake.tsc;
	host_wake_at(now + HZ / 1000);
	ticks = (uint64_t)chip.regs[0x38] * HZ / APIC_HZ;
	assert_in_range(ticks, HZ / 1000 - HZ / 50000, HZ / 1000 + HZ / 50000);
	timer_handler(VECTOR_TIMER);
	host_wake_at(insn_fake.tsc - 1);		/* it has passed: at once, as far as at once may repeat */
	assert_int_equal(chip.regs[0x38], lapic.hz / 20000 + 1);
	timer_handler(VECTOR_TIMER);
	host_wake_at(insn_fake.tsc + 1000 * HZ);	/* beyond 32 bits: as far as it goes, then again */
	assert_int_equal(chip.regs[0x38], 0xffffffff);
}

/* QEMU may lose an interrupt: only one that was taken stops the counter. */
static void test_counter_repeats(void **unused)
{
	uint32_t count;

	(void)unused;
	mmio_page_arm();
	host_lapic_init();
	host_wake_at(insn_fake.tsc + HZ / 100);
	count = chip.regs[0x38];
	host_wake_at(insn_fake.tsc + HZ);		/* the earlier one, lost or not, goes on */
	assert_true(count && chip.regs[0x38] == count);
	timer_handler(VECTOR_TIMER);
	assert_int_equal(chip.regs[0x38], 0);
	host_wake_at(insn_fake.tsc + HZ / 50);
	assert_true(chip.regs[0x38] > count);
}

/* Other processors have a timer of their own, in the boot processor's mode and at its rate; theirs is not measured. */
static void test_timers_of_others(void **unused)
{
	(void)unused;
	cpu_features.has_x2apic = cpu_features.has_tsc_deadline = true;
	host_lapic_init();
	host_wake_at(5000);
	cpu_fake.index = 1;
	cpu_fake.wake_at = 0;
	insn_fake_msr(0x832)->val = 0x10000;
	assert_true(host_lapic_init_other());
	assert_int_equal(msr(0x832), 0x40000 | VECTOR_TIMER);
	host_wake_at(9000);				/* what another has armed is no concern of this one */
	assert_int_equal(msr(0x6e0), 9000);
}

static void test_counters_of_others(void **unused)
{
	uint64_t hz, now;

	(void)unused;
	mmio_page_arm();
	host_lapic_init();
	hz = lapic.hz;
	memset(&chip, 0, sizeof(chip));
	cpu_fake.index = 1;
	now = insn_fake.tsc;
	assert_true(host_lapic_init_other());
	assert_int_equal(chip.regs[0x3e], 3);
	assert_int_equal(chip.regs[0x32], 0x20000 | VECTOR_TIMER);
	assert_int_equal(chip.regs[0x38], 0);		/* it stands still */
	assert_int_equal(lapic.hz, hz);
	assert_int_equal(insn_fake.tsc, now);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_modes), TEST(test_mode_is_the_boot_processors), TEST(test_legacy_pic),
		TEST(test_local_vectors), TEST(test_send_x2apic), TEST(test_send_xapic),
		TEST(test_deadline), TEST(test_counter), TEST(test_counter_repeats), TEST(test_timers_of_others), TEST(test_counters_of_others),
	};

	return cmocka_run_group_tests_name("host_lapic", tests, map_page, NULL);
}
