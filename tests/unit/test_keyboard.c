/* SPDX-License-Identifier: MIT */
/* drivers/keyboard.c: what counts as a key. The driver's file is included, so that its port accesses can be ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86/hw/insn.h"
#include "hv/lib/util.h"

static uint8_t chip_status, chip_data;
static unsigned taken;

static uint8_t chip_in(uint16_t port)
{
	if (port == 0x64)
		return chip_status;
	assert_int_equal(port, 0x60);
	taken++;
	return chip_data;
}

#define inb(port) chip_in(port)
#include "drivers/keyboard.c"
#undef inb

static void test_keys(void **state)
{
	static const struct { uint8_t status, data; bool is_pressed; unsigned taken; } rows[] = {
		{ 0x1c, 0x1e, false, 0 },	/* nothing waits */
		{ 0x1d, 0x1e, true, 1 },	/* A goes down */
		{ 0x1d, 0x9e, false, 1 },	/* A comes up: of the key that started the machine, say */
		{ 0x3d, 0x08, false, 1 },	/* the mouse moved: taken away, or no key would come behind it */
		{ 0xff, 0xff, false, 0 },	/* no controller */
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		chip_status = rows[i].status;
		chip_data = rows[i].data;
		taken = 0;
		assert_int_equal(keyboard_pressed(), rows[i].is_pressed);
		assert_int_equal(taken, rows[i].taken);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_keys) };

	return cmocka_run_group_tests_name("keyboard", tests, NULL, NULL);
}
