/* SPDX-License-Identifier: MIT */
/*
 * hv/restore_test.c: a VM is saved, wiped and restored with its clock standing, as often as asked, at exits
 * that vary.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/util.h"
#include "hv/restore_test.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_state.h"
#include "page_fake.h"

#define SIZE	5000U		/* of a saved state: two pages */

static struct vm vm;
static struct vcpu vcpu;
static char steps[64], said[128];
static bool is_refused;

static void step(const char *name) { strncat(steps, name, sizeof(steps) - strlen(steps) - 1); }

size_t vm_state_size(struct vm *of) { (void)of; return SIZE; }
void vm_stop_clock(struct vm *of) { (void)of; step("stop "); }
void vm_run_clock(struct vm *of) { (void)of; step("run "); }
void vm_wipe(struct vm *of) { (void)of; step("wipe "); }

size_t vm_save(struct vm *of, void *buffer, size_t room)
{
	(void)of;
	assert_int_equal(room, SIZE);
	memset(buffer, 0x5a, room);
	step("save ");
	return room - 100;
}

bool vm_load(struct vm *of, const void *buffer, size_t len, struct state_error *error)
{
	(void)of;
	assert_int_equal(len, SIZE - 100);
	assert_int_equal(*(const uint8_t *)buffer, 0x5a);
	step("load ");
	*error = (struct state_error){ .section = "vcpu", .instance = 1, .what = "too long" };
	return !is_refused;
}

bool vm_kill(struct vm *of, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
	of->end = VM_END_CRASHED;
	return true;
}

void vm_log(const struct vm *of, const char *fmt, ...)
{
	va_list args;

	(void)of;
	va_start(args, fmt);
	vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
}

static int set_up(void **unused)
{
	(void)unused;
	memset(&vm, 0, sizeof(vm));
	vm.state = VM_RUNNING;
	vcpu.vm = &vm;
	*steps = *said = '\0';
	is_refused = false;
	page_fake_limit = UINT64_MAX;
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	restore_test_end(&vm);
	assert_int_equal(page_fake_used, 0);
	return 0;
}

static unsigned exits_until_next(void)
{
	unsigned exits = 0;

	for (*steps = '\0'; !*steps; exits++) {
		assert_in_range(exits, 0, 64);
		restore_test_step(&vm);
	}
	return exits;
}

static void test_as_often_as_asked(void **unused)
{
	unsigned apart[100], different = 0;

	(void)unused;
	vm.restore_test.left = countof(apart);
	for (size_t i = 0; i < countof(apart); i++) {
		assert_int_equal(restore_test_turn(&vcpu, 77), 0);	/* each exit ends the turn: they are counted behind it */
		assert_string_equal(said, "");
		apart[i] = exits_until_next();
		assert_string_equal(steps, "stop save wipe load run ");
		different += i > 0 && apart[i] != apart[i - 1];
	}
	assert_in_range(different, 50, countof(apart));
	assert_string_equal(said, "test_restore: saved, wiped and restored 100 times, 5000 bytes each");
	assert_int_equal(restore_test_turn(&vcpu, 77), 77);
	*steps = '\0';
	for (unsigned i = 0; i < 200; i++)
		restore_test_step(&vm);
	assert_string_equal(steps, "");
}

/* Nothing happens to a VM that did not ask for it, or that has ended. */
static void test_left_alone(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 200; i++)
		restore_test_step(&vm);
	vm.restore_test.left = 5;
	vm.end = VM_END_SHUTDOWN;
	for (unsigned i = 0; i < 200; i++)
		restore_test_step(&vm);
	assert_string_equal(steps, "");
}

static void test_refused(void **unused)
{
	(void)unused;
	vm.restore_test.left = 5;
	is_refused = true;
	exits_until_next();
	assert_int_equal(vm.end, VM_END_CRASHED);
	assert_string_equal(said, "test_restore: section vcpu 1: too long");
}

static void test_no_memory(void **unused)
{
	(void)unused;
	vm.restore_test.left = 5;
	page_fake_limit = 4096;
	for (unsigned i = 0; i < 65 && vm.end == VM_END_NONE; i++)
		restore_test_step(&vm);
	assert_int_equal(vm.end, VM_END_CRASHED);
	assert_string_equal(steps, "");
	assert_non_null(strstr(said, "no memory"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_as_often_as_asked), TEST(test_left_alone), TEST(test_refused), TEST(test_no_memory),
	};

	return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
