/* SPDX-License-Identifier: MIT */
/* A VM saved, wiped and restored at random exits (contract in restore_test.h). */
#include "hv/restore_test.h"

#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_state.h"

#define EXITS_MAX	64U	/* between two of them, */
#define DENSE		8U	/* fewer at first, and one more after so many: a guest that ends soon has its share */

#define DICE_FACTOR	1664525U	/* a linear congruential generator: Knuth, "The Art of Computer Programming", vol. 2, 3.3.4 */
#define DICE_STEP	1013904223U

static uint32_t dice(struct restore_test *test)
{
	test->dice = test->dice * DICE_FACTOR + DICE_STEP;
	return test->dice >> 8;
}

static bool prepare(struct vm *vm)
{
	struct restore_test *test = &vm->restore_test;

	if (test->buffer)
		return true;
	test->room = vm_state_size(vm);
	test->buffer = page_alloc_contiguous((size_t)(align_up(test->room, PAGE_SIZE) / PAGE_SIZE));
	if (!test->buffer)
		vm_kill(vm, "test_restore: no memory for a saved state of %lu bytes", test->room);
	return test->buffer;
}

uint64_t restore_test_turn(struct vcpu *vcpu, uint64_t end)
{
	return vcpu->vm->restore_test.left ? 0 : end;
}

static void say_done(const struct vm *vm)
{
	const struct restore_test *test = &vm->restore_test;

	vm_log(vm, "test_restore: saved, wiped and restored %u times, %lu bytes each", test->done, test->room);
}

void restore_test_step(struct vm *vm)
{
	struct restore_test *test = &vm->restore_test;
	struct state_error error = { 0 };
	size_t len;

	if (!test->left || !vm_is_alive(vm) || test->wait-- || !prepare(vm))
		return;
	test->wait = dice(test) % (uint32_t)min_u64(1 + test->done / DENSE, EXITS_MAX);
	vm_stop_clock(vm);
	len = vm_save(vm, test->buffer, (size_t)test->room);
	vm_wipe(vm);
	if (!vm_load(vm, test->buffer, len, &error))
		vm_kill(vm, "test_restore: section %s %u: %s", error.section, error.instance, error.what);
	vm_run_clock(vm);
	test->done++;
	if (!--test->left)
		say_done(vm);
}

void restore_test_end(struct vm *vm)
{
	struct restore_test *test = &vm->restore_test;

	if (test->done && test->left)
		say_done(vm);
	if (test->buffer)
		page_free_contiguous(test->buffer, (size_t)(align_up(test->room, PAGE_SIZE) / PAGE_SIZE));
	test->buffer = NULL;
}
