/* SPDX-License-Identifier: MIT */
/* exit/hypercall.c: each call, who may make it, and what a hostile pointer or length does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/exit/handlers.h"
#include "clock_fake.h"
#include "hv/dev/apic_bus.h"
#include "hv/lib/nospec.h"
#include "hv/lib/util.h"
#include "hv/machine.h"
#include "vcpu_fake.h"

#define TEXT	0x5000ULL	/* linear; mapped to 0x20000, and the page behind it not at all */

enum { VERSION, EXIT, PRINT, TIME, COUNTS, KICK_CPU, SEND_IPI = 10 };
enum { UNKNOWN = -1, DENIED = -2, BAD_ADDRESS = -3, BAD_LENGTH = -4, INVALID = -22 };

static struct vcpu_fake fake;
static struct machine *machine;
static char printed[8192];
static size_t printed_len, room;
static const char *exit_door;
static uint32_t exit_code;

void machine_exit(struct vm *vm, const char *door, uint32_t code)
{
	assert_ptr_equal(vm, &fake.vm);
	exit_door = door;
	exit_code = code;
}

static size_t take(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	len = min_size(len, room);
	assert_true(printed_len + len <= sizeof(printed));
	memcpy(printed + printed_len, data, len);
	printed_len += len;
	room -= len;
	return len;
}

static int setup(void **state)
{
	(void)state;
	vcpu_fake_long(&fake);
	machine = calloc(1, sizeof(*machine));
	assert_non_null(machine);
	machine->debugcon.out = (struct char_back){ .write = take };
	fake.vm.machine = machine;
	vcpu_fake_map(&fake, TEXT, 0x20000, 2);
	vcpu_fake_put(&fake, 0x20000, "hello, hypervisor", 17);
	vm_clock_start(&fake.vm.clock);
	printed_len = 0;
	room = sizeof(printed);
	exit_door = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(machine);
	vcpu_fake_free(&fake);
	return 0;
}

static struct { uint32_t first; uint64_t set; enum apic_mode mode; uint8_t vector; unsigned calls; } sent;

uint32_t apic_bus_send_set(struct vm *vm, uint32_t first, uint64_t set, enum apic_mode mode, uint8_t vector)
{
	assert_ptr_equal(vm, &fake.vm);
	sent.first = first;
	sent.set = set;
	sent.mode = mode;
	sent.vector = vector;
	sent.calls++;
	return 3;
}

static int64_t call(uint64_t number, uint64_t rbx, uint64_t rcx)
{
	fake.vcpu.gpr[GPR_RAX] = number;
	fake.vcpu.gpr[GPR_RBX] = rbx;
	fake.vcpu.gpr[GPR_RCX] = rcx;
	assert_int_equal(exit_hypercall(&fake.vcpu), EXIT_SKIP);
	assert_int_equal(fake.vcpu.gpr[GPR_RBX], rbx);
	assert_int_equal(fake.vcpu.gpr[GPR_RCX], rcx);
	assert_false(fake.is_killed);
	return (int64_t)fake.vcpu.gpr[GPR_RAX];
}

static void test_answers(void **state)
{
	static const uint64_t unknown[] = { 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 1ULL << 32, (1ULL << 32) + 1, UINT64_MAX };

	(void)state;
	assert_int_equal(call(VERSION, 0, 0), 1);
	(void)nospec_took(0, 0);
	for (size_t i = 0; i < countof(unknown); i++)
		assert_int_equal(call(unknown[i], 0, 0), UNKNOWN);
	clock_advance(3 * FAKE_HZ + FAKE_HZ / 4);
	assert_int_equal(call(TIME, 0, 0), 3250000000);
	assert_true(nospec_took(TIME, 16));
	fake.vcpu.id = 7;
	assert_int_equal(call(COUNTS, 1, 0), 0);
}

/* Only processors that are there, and only the kernel may. */
static void test_kick_cpu(void **state)
{
	static struct vcpu other;

	(void)state;
	fake.vm.vcpu_count = 2;
	fake.vm.vcpus[1] = &other;
	assert_int_equal(call(KICK_CPU, 0, 1), 0);
	assert_true(other.is_unhalted && !fake.vcpu.is_unhalted);
	assert_true(nospec_took(1, VM_VCPUS_MAX));
	other.is_unhalted = false;
	assert_int_equal(call(KICK_CPU, 0, 2), 0);
	assert_int_equal(call(KICK_CPU, 0, UINT64_MAX), 0);
	assert_int_equal(call(KICK_CPU, 0, (1ULL << 32) + 1), 0);
	assert_false(other.is_unhalted || fake.vcpu.is_unhalted);
	fake.segs[SEG_SS].rights |= 0x60;
	assert_int_equal(call(KICK_CPU, 0, 1), DENIED);
	assert_false(other.is_unhalted || fake.vcpu.is_unhalted);
}

static void test_send_ipi(void **state)
{
	static const struct { uint64_t first, icr; int64_t want; } rows[] = {
		{ 4, 0x30, 3 }, { 4, 0x4430, 3 }, { UINT32_MAX, 0x30, 3 }, { 1ULL << 32, 0x30, INVALID },
		{ 4, 0x130, INVALID }, { 4, 0x230, INVALID }, { 4, 0x530, INVALID }, { 4, 0x608, INVALID },
		{ 4, 0x730, INVALID }, { 4, 0x830, INVALID }, { 4, 0x40030, INVALID }, { 4, 0xc0030, INVALID },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		sent.calls = 0;
		fake.vcpu.gpr[GPR_RDX] = rows[i].first;
		fake.vcpu.gpr[GPR_RSI] = rows[i].icr;
		assert_int_equal(call(SEND_IPI, 5, 6), rows[i].want);
		assert_int_equal(sent.calls, rows[i].want == 3);
		if (!sent.calls)
			continue;
		assert_true(sent.set == 5 && sent.first == rows[i].first && sent.vector == 0x30);
		assert_int_equal(sent.mode, rows[i].icr & 0x400 ? APIC_NMI : APIC_FIXED);
	}
	fake.segs[SEG_SS].rights |= 0x60;
	sent.calls = 0;
	assert_int_equal(call(SEND_IPI, 5, 6), DENIED);
	assert_int_equal(sent.calls, 0);
}

/* The same function as the exit device's, which keeps 31 bits: ffffffffh is no "none". */
static void test_exit(void **state)
{
	(void)state;
	assert_int_equal(call(EXIT, 0xabcdffffffffULL, 0), 0);
	assert_string_equal(exit_door, "hypercall");
	assert_int_equal(exit_code, 0xffffffff);
	fake.segs[SEG_SS].rights |= 0x60;
	exit_door = NULL;
	assert_int_equal(call(EXIT, 1, 0), DENIED);
	assert_null(exit_door);
}

static void test_print(void **state)
{
	static char lines[256];

	(void)state;
	assert_int_equal(call(PRINT, TEXT, 17), 17);
	assert_int_equal(printed_len, 17);
	assert_memory_equal(printed, "hello, hypervisor", 17);
	assert_int_equal(call(PRINT, TEXT, 4096), 256);		/* the caller prints the rest */
	memset(lines, '\n', sizeof(lines));
	vcpu_fake_put(&fake, 0x20000, lines, sizeof(lines));
	assert_int_equal(call(PRINT, TEXT, 4096), 16);		/* each line costs */
	lines[15] = 'x';
	vcpu_fake_put(&fake, 0x20000, lines, sizeof(lines));
	printed_len = 0;
	assert_int_equal(call(PRINT, TEXT, 4096), 17);		/* to the end of the 16th */
	assert_int_equal(printed_len, 17);
	lines[16] = 'y';
	vcpu_fake_put(&fake, 0x20000, lines, sizeof(lines));
	assert_int_equal(call(PRINT, TEXT, 17), 17);		/* text behind 15 lines is within the bound */
	vcpu_fake_put(&fake, 0x20000, "hello, hypervisor", 17);
	assert_int_equal(call(PRINT, TEXT, 4097), BAD_LENGTH);
	assert_int_equal(call(PRINT, TEXT, UINT64_MAX), BAD_LENGTH);
	assert_int_equal(call(PRINT, TEXT + 4096 - 255, 256), 255);	/* a page at a time; the next is not mapped */
	assert_int_equal(call(PRINT, TEXT + 4096, 1), BAD_ADDRESS);
	assert_int_equal(call(PRINT, 1ULL << 63, 8), BAD_ADDRESS);
	assert_int_equal(call(PRINT, 1ULL << 63, 0), 0);		/* nothing is read */
	printed_len = 0;
	room = 20;			/* then the console is full: the guest prints the rest again, and no byte twice */
	assert_int_equal(call(PRINT, TEXT, 200), 20);
	fake.segs[SEG_SS].rights |= 0x60;
	assert_int_equal(call(PRINT, TEXT, 17), DENIED);
}

/* RAM that nobody has touched gets memory, which is enough for one call. */
static void test_print_untouched(void **state)
{
	uint64_t before = fake.vm.gpm.populated;

	(void)state;
	vcpu_fake_map(&fake, TEXT, LARGE_SIZE, 2);
	assert_int_equal(call(PRINT, TEXT, 17), 0);
	assert_int_equal(fake.vm.gpm.populated, before + LARGE_SIZE);
	assert_int_equal(call(PRINT, TEXT, 17), 17);
	assert_int_equal(printed_len, 17);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = { TEST(test_answers), TEST(test_exit), TEST(test_kick_cpu),
		TEST(test_send_ipi), TEST(test_print), TEST(test_print_untouched) };

	return cmocka_run_group_tests_name("hypercall", tests, NULL, NULL);
}
