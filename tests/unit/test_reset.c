/* SPDX-License-Identifier: MIT */
/* Start states against the literal values of the manuals' tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/x86/virt/reset.h"
#include "hv/lib/util.h"

static void check_seg(const struct reset_state *state, enum guest_seg seg, struct segment want)
{
	assert_int_equal(state->seg[seg].base, want.base);
	assert_int_equal(state->seg[seg].limit, want.limit);
	assert_int_equal(state->seg[seg].selector, want.selector);
	assert_int_equal(state->seg[seg].rights, want.rights);
}

static void check_data(const struct reset_state *state, struct segment want)
{
	static const enum guest_seg segs[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

	for (size_t i = 0; i < countof(segs); i++)
		check_seg(state, segs[i], want);
	check_seg(state, SEG_LDTR, (struct segment){ 0, 0xffff, 0, 0x82 });
	check_seg(state, SEG_TR, (struct segment){ 0, 0xffff, 0, 0x8b });
	for (size_t i = 0; i < GPR_COUNT; i++)
		assert_int_equal(state->gpr[i], 0);
	assert_int_equal(state->rflags, 2);
	assert_int_equal(state->rsp, 0);
}

static void test_real_mode(void **unused)
{
	struct reset_state state;

	(void)unused;
	reset_real_mode(&state, 0x9a00, 0x10);
	assert_int_equal(state.rip, 0x10);
	assert_int_equal(state.cr0, 0x10);
	assert_int_equal(state.cr3 | state.cr4 | state.efer, 0);
	check_seg(&state, SEG_CS, (struct segment){ 0x9a000, 0xffff, 0x9a00, 0x9b });
	check_data(&state, (struct segment){ 0, 0xffff, 0, 0x93 });
	reset_real_mode(&state, 0xffff, 0);
	assert_int_equal(state.seg[SEG_CS].base, 0xffff0);
}

static void test_long_mode(void **unused)
{
	struct reset_state state;

	(void)unused;
	reset_long_mode(&state, 0x1000200, 0x2000);
	assert_int_equal(state.rip, 0x1000200);
	assert_int_equal(state.cr0, 0x80000031);
	assert_int_equal(state.cr3, 0x2000);
	assert_int_equal(state.cr4, 0x20);
	assert_int_equal(state.efer, 0x500);
	check_seg(&state, SEG_CS, (struct segment){ 0, 0xffffffff, 0x10, 0xa09b });
	check_data(&state, (struct segment){ 0, 0xffffffff, 0x18, 0xc093 });
	check_seg(&state, SEG_GDTR, (struct segment){ 0, 0, 0, 0 });
	check_seg(&state, SEG_IDTR, (struct segment){ 0, 0, 0, 0 });
}

static void test_protected_mode(void **unused)
{
	struct reset_state state;

	(void)unused;
	reset_protected_mode(&state, 0x10000c, 0x08, 0x10);
	assert_int_equal(state.rip, 0x10000c);
	assert_int_equal(state.cr0, 0x11);
	assert_int_equal(state.cr3 | state.cr4 | state.efer, 0);
	check_seg(&state, SEG_CS, (struct segment){ 0, 0xffffffff, 0x08, 0xc09b });
	check_data(&state, (struct segment){ 0, 0xffffffff, 0x10, 0xc093 });
	reset_protected_mode(&state, 0x1000000, 0x10, 0x18);
	check_seg(&state, SEG_CS, (struct segment){ 0, 0xffffffff, 0x10, 0xc09b });
	check_data(&state, (struct segment){ 0, 0xffffffff, 0x18, 0xc093 });
	check_seg(&state, SEG_GDTR, (struct segment){ 0, 0, 0, 0 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_mode),
		cmocka_unit_test(test_long_mode),
		cmocka_unit_test(test_protected_mode),
	};

	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
