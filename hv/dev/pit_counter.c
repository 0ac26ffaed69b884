/* SPDX-License-Identifier: MIT */
/*
 * One counter of an 8254 (pit_counter.h). Its state is a count and the moment it started; value, output and
 * the next change are arithmetic on the VM's clock.
 */
#include "hv/dev/pit_counter.h"

#include "hv/lib/util.h"
#include "hv/state.h"
#include "hv/vm_clock.h"

uint64_t pit_ticks(uint64_t time)
{
	return mul_div64(time, PIT_HZ, time_hz());
}

/* Rounded up: when the clock reads this much, pit_ticks gives at least `ticks`. */
uint64_t pit_time(uint64_t ticks)
{
	return mul_div64(ticks, time_hz(), PIT_HZ) + 1;
}

bool pit_counter_is_periodic(const struct pit_counter *counter)
{
	return counter->mode == MODE_RATE || counter->mode == MODE_SQUARE;
}

static bool is_gate_triggered(const struct pit_counter *counter)
{
	return counter->mode == MODE_ONE_SHOT || counter->mode == MODE_HW_STROBE;
}

static bool is_counting(const struct pit_counter *counter)
{
	return counter->is_loaded && (!is_gate_triggered(counter) || counter->is_triggered);
}

/* Ticks counted so far; 0 when it does not count. */
uint64_t pit_counter_elapsed(const struct pit_counter *counter, uint64_t now)
{
	if (!is_counting(counter))
		return 0;
	if (counter->is_paused)
		return counter->paused;
	return counter->paused + pit_ticks(now - counter->start);
}

/* Move the start on by so many ticks; rounded down, because it must never lie ahead of the clock. */
static void counter_advance(struct pit_counter *counter, uint64_t ticks)
{
	counter->start += mul_div64(ticks, time_hz(), PIT_HZ);
}

/* In modes 2 and 3 a new count waits for the end of the period it was written in. */
void pit_counter_sync(struct pit_counter *counter, uint64_t now)
{
	if (!counter->next_count || pit_counter_elapsed(counter, now) < counter->count)
		return;
	counter_advance(counter, counter->count);
	counter->count = counter->next_count;
	counter->next_count = 0;
}

static void counter_start(struct pit_counter *counter, uint64_t now)
{
	if (counter->next_count)
		counter->count = counter->next_count;
	counter->start = now;
	counter->paused = 0;
	counter->next_count = 0;
	counter->is_paused = !counter->gate && !is_gate_triggered(counter);
}

bool pit_counter_output(const struct pit_counter *counter, uint64_t elapsed)
{
	switch (counter->mode) {
	case MODE_TERMINAL:
		return is_counting(counter) && elapsed >= counter->count;
	case MODE_ONE_SHOT:
		return !is_counting(counter) || elapsed >= counter->count;
	case MODE_RATE:		/* low for the last tick of each period */
		return counter->is_paused || !is_counting(counter) ||
		       elapsed % counter->count != counter->count - 1;
	case MODE_SQUARE:	/* high for the longer half */
		return counter->is_paused || !is_counting(counter) ||
		       elapsed % counter->count < (counter->count + 1) / 2;
	default:		/* the strobes: low for one tick at the end */
		return !is_counting(counter) || elapsed != counter->count;
	}
}

static uint16_t to_bcd(uint32_t value)
{
	return (uint16_t)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint16_t value)
{
	return (value & 0xfU) + (value >> 4 & 0xfU) * 10 + (value >> 8 & 0xfU) * 100 +
	       (value >> 12 & 0xfU) * 1000;
}

/* What the counting element holds, as the guest reads it. */
uint16_t pit_counter_value(const struct pit_counter *counter, uint64_t elapsed)
{
	uint32_t full = counter->is_bcd ? PIT_FULL_BCD : PIT_FULL_BINARY;
	uint32_t value;

	if (!counter->is_loaded)
		value = 0;
	else if (counter->mode == MODE_RATE)
		value = counter->count - (uint32_t)(elapsed % counter->count);
	else if (counter->mode == MODE_SQUARE)	/* by twos, twice through a period */
		value = (counter->count & ~1U) -
			(uint32_t)(2 * elapsed % (counter->count > 1 ? counter->count & ~1U : 2));
	else	/* the others wrap at zero and go on */
		value = (uint32_t)((full + counter->count - elapsed % full) % full);

	return counter->is_bcd ? to_bcd(value % full) : (uint16_t)value;
}

/* When the output rises next; TIMER_NEVER when it will not. */
uint64_t pit_counter_next_rise(const struct pit_counter *counter, uint64_t now)
{
	uint64_t elapsed = pit_counter_elapsed(counter, now);
	uint64_t target = counter->count;

	if (!is_counting(counter) || counter->is_paused)
		return TIMER_NEVER;
	if (pit_counter_is_periodic(counter))
		target = (elapsed / counter->count + 1) * counter->count;
	else if (counter->mode == MODE_STROBE || counter->mode == MODE_HW_STROBE)
		target++;	/* high again one tick after the strobe */
	if (elapsed >= target)
		return TIMER_NEVER;
	return counter->start + pit_time(target - counter->paused);
}

/* Only for outputs that change once, if ever: a guest that waits for one reads it in a loop. */
uint64_t pit_counter_steady_until(const struct pit_counter *counter, uint64_t now)
{
	if (counter->next_count)
		return now;
	if (!is_counting(counter) || counter->is_paused)
		return TIMER_NEVER;
	return counter->mode == MODE_TERMINAL || counter->mode == MODE_ONE_SHOT ? pit_counter_next_rise(counter, now) : now;
}

void pit_counter_set_gate(struct pit_counter *counter, bool is_high, uint64_t now)
{
	bool is_rise = is_high && !counter->gate;

	if (is_high == counter->gate)
		return;
	counter->gate = is_high;
	if (is_gate_triggered(counter)) {
		if (is_rise && counter->is_loaded) {
			counter->is_triggered = true;
			counter_start(counter, now);
		}
	} else if (pit_counter_is_periodic(counter)) {	/* a rise starts the period anew */
		counter_start(counter, now);
	} else if (is_rise) {			/* go on where it stopped */
		counter->start = now;
		counter->is_paused = false;
	} else {
		counter->paused = pit_counter_elapsed(counter, now);
		counter->is_paused = true;
	}
}

void pit_counter_load(struct pit_counter *counter, uint16_t value, uint64_t now)
{
	uint32_t count = counter->is_bcd ? from_bcd(value) : value;
	uint64_t elapsed;

	if (!count || count > PIT_FULL_BINARY)
		count = counter->is_bcd ? PIT_FULL_BCD : PIT_FULL_BINARY;
	if (pit_counter_is_periodic(counter) && counter->is_loaded) {
		pit_counter_sync(counter, now);
		elapsed = pit_counter_elapsed(counter, now);
		counter_advance(counter, elapsed - elapsed % counter->count);	/* to where this period began */
		counter->next_count = count;
		return;
	}
	counter->count = count;
	counter->is_loaded = true;
	if (!is_gate_triggered(counter))
		counter_start(counter, now);
}

/* A count is a divisor, and no counter began in the future. */
void pit_counter_after_load(struct pit_counter *counter, uint64_t now)
{
	bool *const flags[] = {
		&counter->is_bcd, &counter->gate, &counter->is_loaded, &counter->is_triggered, &counter->is_paused,
		&counter->write_high, &counter->read_high, &counter->has_latch, &counter->has_status,
	};

	for (size_t i = 0; i < countof(flags); i++)
		state_fix_bool(flags[i]);
	if (!counter->count || counter->count > PIT_FULL_BINARY)
		counter->count = PIT_FULL_BINARY;
	if (counter->next_count > PIT_FULL_BINARY)
		counter->next_count = PIT_FULL_BINARY;
	if (counter->mode > MODE_HW_STROBE)
		counter->mode = MODE_SQUARE;
	counter->start = min_u64(counter->start, now);
	counter->paused = min_u64(counter->paused, VM_CLOCK_MAX);	/* so that no sum of ticks wraps */
}
