/* SPDX-License-Identifier: MIT */
/* The last words stay for a minute, or until a key that is pressed behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "clock_fake.h"
#include "drivers/keyboard.h"
#include "drivers/uart16550.h"
#include "hv/host.h"
#include "hv/last_words.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "log_fake.h"

#define MS		(FAKE_HZ / 1000)
#define MINUTE		(60 * (uint64_t)FAKE_HZ)
#define FORGETTING	(FAKE_HZ / 10)

/* What the keyboard keeps: it hands a byte over a millisecond behind the one before. */
static unsigned waiting, typed_on_wire;
static uint64_t next_at, key_at;

bool keyboard_pressed(void)
{
	bool is_new = fake_now >= key_at;

	assert_int_equal(log_fake_lines, 1);	/* the question comes first */
	if (is_new)
		key_at = UINT64_MAX;
	if (!waiting || fake_now < next_at)
		return is_new;
	waiting--;
	next_at = fake_now + MS;
	return true;
}

size_t serial_read(uint8_t *data, size_t len)
{
	assert_int_equal(len, 1);
	*data = 'x';
	return typed_on_wire ? typed_on_wire-- != 0 : 0;
}

void host_pause(void) { fake_now += MS / 10; }
void log_flush(void) { }

static void test_how_long(void **state)
{
	static const struct { const char *what; unsigned waiting, typed_on_wire; uint64_t key_at, min, max; } rows[] = {
		{ "nobody is there", 0, 0, UINT64_MAX, MINUTE, MINUTE + FORGETTING + MS },
		{ "a key", 0, 0, 5 * (uint64_t)FAKE_HZ, 5 * (uint64_t)FAKE_HZ, 5 * (uint64_t)FAKE_HZ + MS },
		{ "a key before, and one behind", 1, 0, 5 * (uint64_t)FAKE_HZ, 5 * (uint64_t)FAKE_HZ, 5 * (uint64_t)FAKE_HZ + MS },
		{ "as much before as a keyboard keeps", 17, 0, UINT64_MAX, MINUTE, MINUTE + FORGETTING + MS },
		{ "a line that was typed before", 0, 100, UINT64_MAX, MINUTE, MINUTE + FORGETTING + MS },
	};

	(void)state;
	for (size_t i = 0; row_of(rows, i); i++) {
		const uint64_t begin = fake_now;

		log_fake_init();
		waiting = rows[i].waiting;
		typed_on_wire = rows[i].typed_on_wire;
		next_at = 0;
		key_at = rows[i].key_at == UINT64_MAX ? UINT64_MAX : begin + rows[i].key_at;
		last_words_wait();
		assert_in_range(fake_now - begin, rows[i].min, rows[i].max);
		assert_non_null(strstr(log_fake_text, "switching off at a key, or in 60 s"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_how_long) };

	return cmocka_run_group_tests_name("last_words", tests, NULL, NULL);
}
