/* SPDX-License-Identifier: MIT */
/* arch/x86/guestboot/copies.c: files arrive whole, in bounded pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guest_fake.h"

#define PIECE	65536U
#define MIB(n)	((uint64_t)(n) << 20)

static void test_pieces(void **state)
{
	static uint8_t files[2][2 * PIECE + 1];
	struct guest_fake guest;
	struct guest_copies *copies = &guest.copies;
	unsigned steps = 0;

	(void)state;
	guest_fake_init(&guest, MIB(8));
	for (size_t i = 0; i < sizeof(files); i++)
		files[i / sizeof(files[0])][i % sizeof(files[0])] = (uint8_t)(i * 7 + i / 253);
	assert_true(guest_copies_step(copies, &guest.gpm));		/* nothing to do */
	assert_true(guest_copies_add(copies, MIB(1), files[0], sizeof(files[0])));
	assert_true(guest_copies_add(copies, MIB(2) - 5, files[1], sizeof(files[1])));
	assert_true(guest_copies_add(copies, MIB(3), files[1], 0));
	while (copies->count) {
		const uint64_t before = guest.gpm.populated, left = copies->list[copies->count - 1].len;

		assert_true(guest_copies_step(copies, &guest.gpm));
		assert_true(guest.gpm.populated == before ||
			    (guest.gpm.populated == before + LARGE_SIZE && copies->list[copies->count - 1].len == left));
		steps++;
	}
	assert_int_equal(steps, 6 + 2);			/* two chunks are populated, each in a step of its own */
	assert_true(guest_equals(&guest, MIB(1), files[0], sizeof(files[0])));
	assert_true(guest_equals(&guest, MIB(2) - 5, files[1], sizeof(files[1])));
	guest_fake_free(&guest);
}

static void test_refusals(void **state)
{
	static const uint8_t byte;
	struct guest_fake guest;

	(void)state;
	guest_fake_init(&guest, MIB(8));
	assert_true(guest_copies_add(&guest.copies, MIB(8), &byte, 1));		/* no RAM */
	assert_false(guest_copies_step(&guest.copies, &guest.gpm));
	while (guest.copies.count < GUEST_COPIES_MAX)
		assert_true(guest_copies_add(&guest.copies, MIB(1), &byte, 1));
	assert_false(guest_copies_add(&guest.copies, MIB(1), &byte, 1));
	guest_fake_free(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_pieces), cmocka_unit_test(test_refusals) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
