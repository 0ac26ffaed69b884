/* SPDX-License-Identifier: MIT */
/* Time to read the last words (contract in last_words.h). */
#include "hv/last_words.h"

#include "boot/handoff.h"
#include "drivers/keyboard.h"
#include "drivers/uart16550.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/timer.h"

#define FORGET_PART	10U	/* of a second: a keyboard keeps 16 bytes, and hands each over a millisecond or so behind the last */

static bool is_key_pressed(void)
{
	uint8_t byte;
	bool is_pressed = keyboard_pressed();

	while (serial_read(&byte, 1))
		is_pressed = true;
	return is_pressed;
}

/* False: no key until then. */
static bool wait_for_key(uint64_t end)
{
	while (time_now() < end) {
		if (is_key_pressed())
			return true;
		host_pause();
	}
	return false;
}

/*
 * Keys that were pressed before the question do not count. Nobody has read the keyboard until now, so several may wait,
 * and that it has none at a moment does not mean that none is left.
 */
static void forget_keys(void)
{
	const uint64_t end = time_now() + time_hz() / FORGET_PART;

	while (wait_for_key(end))
		continue;
}

void last_words_wait(void)
{
	log_say("switching off at a key, or in %u s; when_done = halt in trapeze.conf would wait for ever",
		HANDOFF_READING_SECONDS);
	log_flush();
	forget_keys();
	(void)wait_for_key(time_now() + HANDOFF_READING_SECONDS * time_hz());
}
