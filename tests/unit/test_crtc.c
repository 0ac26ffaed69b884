/* SPDX-License-Identifier: MIT */
/* hv/dev/crtc.c: a cursor's position comes back, from byte and word accesses; other registers read ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hv/dev/crtc.h"
#include "hv/lib/nospec.h"
#include "port_fake.h"

static void test_cursor(void **unused)
{
	struct crtc crtc;
	struct bus pio;

	(void)unused;
	bus_init(&pio, "pio");
	crtc_init(&crtc);
	assert_int_equal(crtc_map(&crtc, &pio), 0);
	outb(&pio, 0x3d4, 14);
	assert_int_equal(inb(&pio, 0x3d4), 14);
	assert_int_equal(inb(&pio, 0x3d5), 0);		/* the cursor starts in the corner */
	assert_true(nospec_took(14, CRTC_REGISTERS));
	outb(&pio, 0x3d5, 0x07);
	assert_true(nospec_took(14, CRTC_REGISTERS));
	out(&pio, 0x3d4, 2, 0x8f0f);			/* index and data at once */
	assert_int_equal(inb(&pio, 0x3d5), 0x8f);
	outb(&pio, 0x3d4, 14);
	assert_int_equal(inb(&pio, 0x3d5), 0x07);
	for (unsigned index = 0x19; index < 0x100; index++) {
		out(&pio, 0x3d4, 2, index);
		assert_int_equal(inb(&pio, 0x3d5), 0xff);
	}
	outb(&pio, 0x3d4, 0x18);
	assert_int_equal(inb(&pio, 0x3d5), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cursor) };

	return cmocka_run_group_tests_name("crtc", tests, NULL, NULL);
}
