/* SPDX-License-Identifier: MIT */
/*
 * hv/vm_state.c and every device's after_load: states there and back, states that nobody would save, and a clock that
 * stands still with all that hangs on it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/virt/backend.h"
#include "clock_fake.h"
#include "hv/vm_state.h"
#include "pc_fake.h"
#include "port_fake.h"

#define ROUNDS		400U
#define OPS		200U
#define HEADER_BYTES	16U
#define RECORD_BYTES	32U

static uint64_t hardware_offset;
static struct pc pc;

static void set_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
	(void)vcpu;
	hardware_offset = offset;
}

static const struct virt_backend fake_backend = { .set_tsc_offset = set_tsc_offset };
const struct virt_backend *virt = &fake_backend;

uint64_t vcpu_host_tsc_offset(const struct vcpu *vcpu)
{
	return vcpu->vm->clock.offset + vcpu->tsc_offset;
}

static uint32_t seed;

static uint32_t dice(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static int setup(void **state)
{
	(void)state;
	seed = 1;
	pc_build(&pc);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pc_destroy(&pc);
	return timer_next() == TIMER_NEVER ? 0 : -1;
}

static void rebuild(void)
{
	const unsigned offers = pc.offers;

	pc_destroy(&pc);
	fake_now += 12345;
	pc_build(&pc);
	pc.offers = offers;		/* the guest goes on answering them in its order */
	vm_stop_clock(&pc.vm);
}

static uint8_t *save(size_t *len)
{
	uint8_t *buffer = malloc(vm_state_size(&pc.vm));

	assert_non_null(buffer);
	*len = vm_save(&pc.vm, buffer, vm_state_size(&pc.vm));
	assert_int_equal(*len, vm_state_size(&pc.vm));
	return buffer;
}

static void load(const uint8_t *buffer, size_t len)
{
	struct state_error error;

	if (!vm_load(&pc.vm, buffer, len, &error))
		fail_msg("%s %u: %s", error.section, error.instance, error.what);
}

/* What a guest may do next: registers of all chips, time, interrupts taken. */
static void work(void)
{
	static const uint16_t ports[] = {
		0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x92, 0xcf9,
		0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x3d4, 0x3d5, 0x600, 0x602, 0x604, 0x608,
	};
	uint32_t what = dice(), value = dice();
	uint16_t port = ports[what / 16 % (sizeof(ports) / sizeof(ports[0]))];
	uint8_t byte = (uint8_t)value;

	pc.room = value % 32;
	switch (what % 8) {
	case 0: case 1:
		outb(&pc.vm.pio, port, byte);
		break;
	case 2:
		(void)inb(&pc.vm.pio, port);
		break;
	case 3:
		out(&pc.vm.mmio, IOAPIC_BASE + (what & 0x10), 4, value % 64);
		break;
	case 4:
		lapic_mmio_write(&pc.vcpu.lapic, what & 0xff0, 4, value);
		(void)lapic_mmio_read(&pc.vcpu.lapic, value & 0xfff, 4);
		break;
	case 5:
		(void)uart_input(&pc.machine.uart, &byte, 1);
		uart_writable(&pc.machine.uart);
		break;
	case 6:
		clock_advance(value);
		break;
	default:
		(void)pc_take_interrupts(&pc);
		break;
	}
}

/* ---- Tests ---- */

/* Where the data of record `n` lies; its size in *size. */
static uint8_t *record_data(uint8_t *buffer, unsigned n, uint32_t *size)
{
	uint8_t *at = buffer + HEADER_BYTES;

	for (;; at += RECORD_BYTES + (*size + 7) / 8 * 8) {
		memcpy(size, at + RECORD_BYTES - 8, sizeof(*size));
		if (!n--)
			return at + RECORD_BYTES;
	}
}

static unsigned record_count(const uint8_t *buffer)
{
	uint32_t count;

	memcpy(&count, buffer + 8, sizeof(count));
	return count;
}

static void randomize(uint8_t *buffer, unsigned n)
{
	uint32_t size;
	uint8_t *data = record_data(buffer, n, &size);

	for (uint32_t i = 0; i < size; i++)
		data[i] = (uint8_t)dice();
}

/* Save, forget, load, save: the same bytes. */
static void expect_round_trip(void)
{
	size_t len, len_again;
	uint8_t *first = save(&len), *second;

	rebuild();
	load(first, len);
	second = save(&len_again);
	assert_int_equal(len, len_again);
	assert_memory_equal(first, second, len);
	free(first);
	free(second);
}

/* Any contents of any section, alone and of all together, are made safe; then they survive the trip. */
static void test_random_states(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t len;
		uint8_t *buffer;
		unsigned count;

		vm_stop_clock(&pc.vm);
		buffer = save(&len);
		count = record_count(buffer);
		for (unsigned n = 0; n < count; n++)
			if (round % (count + 1) == n || round % (count + 1) == count)
				randomize(buffer, n);
		load(buffer, len);
		free(buffer);
		expect_round_trip();
		vm_run_clock(&pc.vm);
		for (unsigned i = 0; i < OPS; i++)
			work();
	}
}

/* A PC at work for so many steps; every 37th time it is saved, forgotten and loaded if it is to be disturbed. */
static uint8_t *state_after(uint32_t from_seed, bool disturbed, size_t *len)
{
	pc_destroy(&pc);
	pc_build(&pc);
	seed = from_seed;
	for (unsigned i = 0; i < 20000; i++) {
		work();
		if (!disturbed || i % 37)
			continue;
		vm_stop_clock(&pc.vm);
		expect_round_trip();
		vm_run_clock(&pc.vm);
	}
	vm_stop_clock(&pc.vm);
	return save(len);
}

/* One that is saved and loaded again and again does the same as one that is left alone. */
static void test_undisturbed(void **state)
{
	(void)state;
	for (uint32_t from = 1; from <= 5; from++) {
		size_t alone_len, len;
		uint8_t *alone = state_after(from, false, &alone_len), *disturbed = state_after(from, true, &len);

		assert_int_equal(alone_len, len);
		assert_memory_equal(alone, disturbed, len);
		free(alone);
		free(disturbed);
	}
}

/* While the clock stands no time passes and no timer fires; then all go on where they were. */
static void test_clock_stands(void **state)
{
	struct bus *pio = &pc.vm.pio;
	uint64_t pm_timer;

	(void)state;
	vm_stop_clock(&pc.vm);
	assert_int_equal(timer_next(), TIMER_NEVER);
	vm_run_clock(&pc.vm);
	assert_int_equal(hardware_offset, 0 - fake_now);
	outb(pio, 0x21, 0xfe);
	(void)pc_take_interrupts(&pc);			/* the output is high at the start */
	outb(pio, 0x20, 0x20);
	clock_advance(FAKE_HZ / 50);			/* the tick comes 18.2 times a second */
	vm_stop_clock(&pc.vm);
	pm_timer = in(pio, 0x608, 4);
	clock_advance(1000 * FAKE_HZ);
	assert_int_equal(in(pio, 0x608, 4), pm_timer);
	assert_false(pc.vcpu.lapic.s.lint0_is_high);
	vm_run_clock(&pc.vm);
	assert_int_equal(vm_now(&pc.vm), FAKE_HZ / 50);
	assert_int_equal(hardware_offset, vm_now(&pc.vm) - fake_now);
	assert_int_equal(timer_next() - fake_now, mul_div64(65536, FAKE_HZ, PIT_HZ) + 1 - FAKE_HZ / 50);
	clock_advance(FAKE_HZ / 20);
	assert_true(pc.vcpu.lapic.s.lint0_is_high);
	outb(pio, 0x70, 0);
	assert_int_equal(inb(pio, 0x71), 0x58);		/* the second it began with */
}

static void test_running_vm_is_not_saved(void **state)
{
	uint8_t buffer[4096];

	(void)state;
	assert_true(vm_state_size(&pc.vm) <= sizeof(buffer));
	assert_int_equal(vm_save(&pc.vm, buffer, sizeof(buffer)), 0);
	vm_stop_clock(&pc.vm);
	assert_int_equal(vm_save(&pc.vm, buffer, sizeof(buffer)), vm_state_size(&pc.vm));
	assert_int_equal(vm_save(&pc.vm, buffer, vm_state_size(&pc.vm) - 1), 0);
	vm_run_clock(&pc.vm);
}

/*
 * Chips tell their levels while it is wiped and loaded: a vCPU that sleeps without IF takes them, and the VM
 * has no end by that.
 */
static void test_sleeper_survives(void **state)
{
	uint8_t *buffer;
	size_t len;

	(void)state;
	vm_stop_clock(&pc.vm);
	pc.vcpu.state = VCPU_HALTED;
	pc.vcpu.halted_if = false;
	buffer = save(&len);
	pc.vm.end = VM_END_NONE;
	vm_wipe(&pc.vm);
	assert_int_equal(pc.vm.end, VM_END_NONE);
	pc.vcpu.state = VCPU_HALTED;
	load(buffer, len);
	assert_int_equal(pc.vcpu.state, VCPU_PARKED);	/* until vcpu_restore, which this test fakes */
	vm_run_clock(&pc.vm);
	free(buffer);
}

/* What others have asked of a vCPU is in the saved state, and does not reach the state that is loaded over it. */
static void test_requests_are_merged(void **state)
{
	struct lapic *lapic = &pc.vcpu.lapic;
	uint8_t *quiet, *buffer;
	size_t len;

	(void)state;
	vm_stop_clock(&pc.vm);
	pc.vcpu.state = VCPU_READY;
	quiet = save(&len);
	pc.vcpu.posted[1][1] = 2;			/* vector 41h, level-triggered */
	pc.vcpu.requests = REQUEST_IRQ;
	buffer = save(&len);
	assert_int_equal(pc.vcpu.requests, 0);
	assert_int_equal(lapic->s.irr[2] & lapic->s.tmr[2], 2);
	pc.vcpu.posted[0][2] = 4;
	pc.vcpu.requests = REQUEST_IRQ;
	load(quiet, len);
	assert_int_equal(pc.vcpu.requests | pc.vcpu.posted[0][2] | lapic->irr_words, 0);
	load(buffer, len);
	assert_int_equal(lapic->s.irr[2], 2);
	vm_run_clock(&pc.vm);
	free(quiet);
	free(buffer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_random_states), TEST(test_undisturbed), TEST(test_clock_stands),
		TEST(test_running_vm_is_not_saved), TEST(test_requests_are_merged), TEST(test_sleeper_survives),
	};

	return cmocka_run_group_tests_name("vm_state", tests, NULL, NULL);
}
