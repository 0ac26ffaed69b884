/* SPDX-License-Identifier: MIT */
/*
 * 8254 (pit.h): ports, latches and the interrupt; what a counter does is in pit_counter.c. Gates of counters
 * 0 and 1 are tied high, counter 2's is bit 0 of port 61h.
 */
#include "hv/dev/pit.h"

#include "hv/lib/nospec.h"
#include "hv/lib/util.h"

#define COUNTERS	3U
#define SPEAKER_COUNTER	2U

#define CONTROL_BCD	0x01U
#define CONTROL_MODE_SHIFT 1
#define CONTROL_MODE	7U
#define CONTROL_ACCESS_SHIFT 4
#define CONTROL_ACCESS	3U
#define CONTROL_SELECT_SHIFT 6
#define SELECT_READ_BACK 3U
#define READ_BACK_NO_COUNT  0x20U
#define READ_BACK_NO_STATUS 0x10U
#define READ_BACK_COUNTER0  0x02U
#define STATUS_OUT	0x80U
#define STATUS_NULL	0x40U

#define ACCESS_LATCH	0U
#define ACCESS_LOW	1U
#define ACCESS_HIGH	2U
#define ACCESS_BOTH	3U

#define SPEAKER_GATE	0x01U
#define SPEAKER_WRITABLE 0x03U
#define SPEAKER_REFRESH	0x10U
#define SPEAKER_OUT	0x20U
#define REFRESH_TICKS	18U	/* the refresh request toggles every 15 us */
#define RATE_MAX	20000U	/* interrupts a second: a count of 1 must not become a storm */

/* ---- Counter 0 and its interrupt ---- */

static void pit_arm(struct pit *pit, uint64_t now)
{
	const struct pit_counter *counter = &pit->s.counter[0];
	uint64_t rise = pit_counter_next_rise(counter, now);

	if (pit_counter_is_periodic(counter) && counter->count < PIT_HZ / RATE_MAX)
		rise = max_u64(rise, now + time_hz() / RATE_MAX);
	pit->s.next_rise = rise;
	vm_clock_arm(pit->clock, &pit->timer, max_u64(rise, irq_heard_from(&pit->irq)));
}

static void pit_fire(void *ctx)
{
	struct pit *pit = ctx;
	struct pit_counter *counter = &pit->s.counter[0];
	uint64_t now = vm_clock_now(pit->clock);

	irq_lower(&pit->irq);	/* ticks that were missed since the last interrupt become this one */
	irq_raise(&pit->irq);
	pit_counter_sync(counter, now);
	pit_arm(pit, now);
}

/*
 * While nobody hears the interrupt there is no timer, and the rises of that time are one rise, which the masked inputs
 * see now.
 */
void pit_wake(struct pit *pit)
{
	if (vm_clock_now(pit->clock) >= pit->s.next_rise)
		pit_fire(pit);
	vm_clock_arm(pit->clock, &pit->timer, pit->s.next_rise);
}

/* Counter 0 was written: its output is where the mode puts it. */
static void pit_changed(struct pit *pit, unsigned number, uint64_t now)
{
	struct pit_counter *counter = &pit->s.counter[number];

	if (number != 0)
		return;
	irq_set(&pit->irq, pit_counter_output(counter, pit_counter_elapsed(counter, now)));
	pit_arm(pit, now);
}

/* ---- Ports ---- */

static void counter_latch(struct pit_counter *counter, uint64_t now)
{
	if (counter->has_latch)
		return;		/* the first latch stands until it is read */
	counter->latch = pit_counter_value(counter, pit_counter_elapsed(counter, now));
	counter->has_latch = true;
}

static void counter_latch_status(struct pit_counter *counter, uint64_t now)
{
	bool is_high = pit_counter_output(counter, pit_counter_elapsed(counter, now));

	if (counter->has_status)
		return;
	counter->status = (uint8_t)((is_high ? STATUS_OUT : 0) |
				    (!counter->is_loaded || counter->next_count ? STATUS_NULL : 0) |
				    (unsigned)counter->access << CONTROL_ACCESS_SHIFT |
				    (unsigned)counter->mode << CONTROL_MODE_SHIFT |
				    (counter->is_bcd ? CONTROL_BCD : 0));
	counter->has_status = true;
}

static void pit_read_back(struct pit *pit, uint8_t value, uint64_t now)
{
	for (unsigned i = 0; i < COUNTERS; i++) {
		struct pit_counter *counter = &pit->s.counter[i];

		if (!(value & READ_BACK_COUNTER0 << i))
			continue;
		pit_counter_sync(counter, now);
		if (!(value & READ_BACK_NO_COUNT))
			counter_latch(counter, now);
		if (!(value & READ_BACK_NO_STATUS))
			counter_latch_status(counter, now);
	}
}

static void pit_control(struct pit *pit, uint8_t value, uint64_t now)
{
	unsigned select = value >> CONTROL_SELECT_SHIFT;
	uint8_t access = value >> CONTROL_ACCESS_SHIFT & CONTROL_ACCESS;
	uint8_t mode = value >> CONTROL_MODE_SHIFT & CONTROL_MODE;
	struct pit_counter *counter;

	if (select == SELECT_READ_BACK) {
		pit_read_back(pit, value, now);
		return;
	}
	counter = &pit->s.counter[index_nospec(select, COUNTERS)];
	if (access == ACCESS_LATCH) {
		pit_counter_sync(counter, now);
		counter_latch(counter, now);
		return;
	}
	*counter = (struct pit_counter){
		.mode = mode > MODE_HW_STROBE ? mode & MODE_SQUARE : mode,	/* 6 and 7 are 2 and 3 */
		.access = access, .is_bcd = value & CONTROL_BCD, .gate = counter->gate,
		.count = PIT_FULL_BINARY, .start = now,
	};
	pit_changed(pit, select, now);
}

static void pit_write_counter(struct pit *pit, unsigned number, uint8_t value, uint64_t now)
{
	struct pit_counter *counter = &pit->s.counter[number];

	if (counter->access == ACCESS_BOTH && !counter->write_high) {
		counter->write_low = value;
		counter->write_high = true;
		if (counter->mode == MODE_TERMINAL) {	/* the first byte stops the count */
			counter->is_loaded = false;
			pit_changed(pit, number, now);
		}
		return;
	}
	counter->write_high = false;
	if (counter->access == ACCESS_LOW)
		pit_counter_load(counter, value, now);
	else if (counter->access == ACCESS_HIGH)
		pit_counter_load(counter, (uint16_t)(value << 8), now);
	else
		pit_counter_load(counter, (uint16_t)(value << 8 | counter->write_low), now);
	pit_changed(pit, number, now);
}

static uint8_t pit_read_counter(struct pit_counter *counter, uint64_t now)
{
	uint16_t value;
	bool is_high = counter->access == ACCESS_HIGH;

	if (counter->has_status) {
		counter->has_status = false;
		return counter->status;
	}
	pit_counter_sync(counter, now);
	value = counter->has_latch ? counter->latch : pit_counter_value(counter, pit_counter_elapsed(counter, now));
	if (counter->access == ACCESS_BOTH) {
		is_high = counter->read_high;
		counter->read_high = !is_high;
	}
	if (counter->access != ACCESS_BOTH || is_high)
		counter->has_latch = false;
	return (uint8_t)(is_high ? value >> 8 : value);
}

static uint64_t pit_read(void *dev, uint64_t offset, unsigned size)
{
	struct pit *pit = dev;

	(void)size;
	return offset < COUNTERS ? pit_read_counter(&pit->s.counter[index_nospec(offset, COUNTERS)], vm_clock_now(pit->clock)) : UINT8_MAX;
}

static void pit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *pit = dev;
	uint64_t now = vm_clock_now(pit->clock);

	(void)size;
	pit->shown_until = 0;
	if (offset < COUNTERS)
		pit_write_counter(pit, (unsigned)index_nospec(offset, COUNTERS), (uint8_t)value, now);
	else
		pit_control(pit, (uint8_t)value, now);
}

/* Port 61h anew; it holds until the refresh request toggles or counter 2's output changes. */
__attribute__((noinline)) static uint8_t speaker_look(struct pit *pit, uint64_t now)
{
	struct pit_counter *counter = &pit->s.counter[SPEAKER_COUNTER];
	uint64_t toggles = pit_ticks(now) / REFRESH_TICKS;

	pit_counter_sync(counter, now);
	pit->shown = pit->s.speaker | (toggles & 1 ? SPEAKER_REFRESH : 0) |
		     (pit_counter_output(counter, pit_counter_elapsed(counter, now)) ? SPEAKER_OUT : 0);
	pit->shown_until = min_u64(pit_time((toggles + 1) * REFRESH_TICKS), pit_counter_steady_until(counter, now));
	return pit->shown;
}

/* Guests wait for a bit of it to change and read it without end. */
static uint64_t speaker_read(void *dev, uint64_t offset, unsigned size)
{
	struct pit *pit = dev;
	uint64_t now = vm_clock_now(pit->clock);

	(void)offset;
	(void)size;
	return now < pit->shown_until ? pit->shown : speaker_look(pit, now);
}

static void speaker_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *pit = dev;

	(void)offset;
	(void)size;
	pit->shown_until = 0;
	pit->s.speaker = (uint8_t)value & SPEAKER_WRITABLE;
	pit_counter_set_gate(&pit->s.counter[SPEAKER_COUNTER], value & SPEAKER_GATE, vm_clock_now(pit->clock));
}

static const struct bus_range pit_ranges[] = {
	{ "pit",     0x40, 4, BUS_SIZE_1, pit_read, pit_write, NULL },
	{ "speaker", 0x61, 1, BUS_SIZE_1, speaker_read, speaker_write, NULL },
};

int pit_map(struct pit *pit, struct bus *pio)
{
	return bus_add_table(pio, pit_ranges, countof(pit_ranges), pit);
}

void pit_reset(struct pit *pit)
{
	uint64_t now = vm_clock_now(pit->clock);

	for (unsigned i = 0; i < COUNTERS; i++)
		pit->s.counter[i] = (struct pit_counter){
			.mode = MODE_SQUARE, .access = ACCESS_BOTH, .is_loaded = true,
			.count = PIT_FULL_BINARY, .start = now,
			.gate = i != SPEAKER_COUNTER, .is_paused = i == SPEAKER_COUNTER,
		};
	pit->s.speaker = 0;
	pit->shown_until = 0;
	pit_changed(pit, 0, now);
}

void pit_after_load(void *dev)
{
	struct pit *pit = dev;
	uint64_t now = vm_clock_now(pit->clock);

	for (unsigned i = 0; i < COUNTERS; i++) {
		pit_counter_after_load(&pit->s.counter[i], now);
		pit->s.counter[i].access &= CONTROL_ACCESS;
	}
	pit->s.speaker &= SPEAKER_WRITABLE;
	pit->shown_until = 0;
	vm_clock_arm(pit->clock, &pit->timer, pit->s.next_rise);	/* it may have passed while the clock was stopped */
}

void pit_init(struct pit *pit, const struct vm_clock *clock, const struct irq_line *irq)
{
	*pit = (struct pit){ .clock = clock, .irq = *irq };
	vm_clock_timer(clock, &pit->timer, pit_fire, pit);
	pit_reset(pit);
}
