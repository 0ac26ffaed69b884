/* SPDX-License-Identifier: MIT */
/*
 * MC146818 (rtc.h). Time is a sum: seconds at a moment plus the clock since. Setting a field computes the
 * sum anew; while SET holds updates, the ten time bytes are plain memory. What a guest may write there
 * (month 99, BCD digits above 9) is normalised by the calendar, never refused and never used as an index.
 */
#include "hv/dev/rtc.h"

#include "hv/dev/calendar.h"
#include "hv/dev/cmos.h"
#include "hv/lib/util.h"

enum {
	REG_SECOND, REG_SECOND_ALARM, REG_MINUTE, REG_MINUTE_ALARM, REG_HOUR, REG_HOUR_ALARM,
	REG_WEEKDAY, REG_DAY, REG_MONTH, REG_YEAR, REG_A, REG_B, REG_C, REG_D,
	REG_CENTURY = 0x32,
};

#define INDEX_MASK	0x7fU
#define A_UIP		0x80U
#define A_RATE		0x0fU
#define A_RESET		0x26U	/* 32,768 Hz crystal, periodic rate 1,024 Hz */
#define A_DIVIDER	0x70U
#define A_DIVIDER_RUN	0x20U
#define B_24H		0x02U
#define B_BINARY	0x04U
#define B_UIE		0x10U
#define B_AIE		0x20U
#define B_PIE		0x40U
#define B_SET		0x80U
#define C_IRQF		0x80U
#define C_SOURCES	0x70U	/* PF AF UF, at the places of their enables in B */
#define C_UF		B_UIE
#define C_AF		B_AIE
#define C_PF		B_PIE
#define D_VALID		0x80U

#define HOUR_PM		0x80U
#define ALARM_ANY	0xc0U	/* the two top bits set: every value matches */

#define CRYSTAL_HZ	32768U
#define UIP_PER_SECOND	4096U	/* UIP rises 1/4096 s, 244 us, before the update */
#define SLOW_RATES	2U	/* rates 1 and 2 are 8 and 9 again, */
#define SLOW_SHIFT	7U	/* seven on */
#define SECONDS_LIMIT	(1LL << 40)	/* beyond any date a guest can write */
#define SECONDS_MAX	253402300799ULL	/* the end of the year 9999 */

/* ---- Number formats ---- */

static uint8_t rtc_encode(const struct rtc *rtc, unsigned value)
{
	if (rtc->s.bytes[REG_B] & B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t byte)
{
	if (rtc->s.bytes[REG_B] & B_BINARY)
		return byte;
	return (byte >> 4) * 10U + (byte & 0xfU);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->s.bytes[REG_B] & B_24H)
		return rtc_encode(rtc, hour);
	return (uint8_t)(rtc_encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0));
}

static unsigned rtc_decode_hour(const struct rtc *rtc, uint8_t byte)
{
	if (rtc->s.bytes[REG_B] & B_24H)
		return rtc_decode(rtc, byte);
	return rtc_decode(rtc, byte & (uint8_t)~HOUR_PM) % 12 + (byte & HOUR_PM ? 12 : 0);
}

/* ---- Time ---- */

static bool is_held(const struct rtc *rtc)
{
	return (rtc->s.bytes[REG_B] & B_SET) || (rtc->s.bytes[REG_A] & A_DIVIDER) != A_DIVIDER_RUN;
}

static int64_t rtc_seconds(const struct rtc *rtc, uint64_t now)
{
	return rtc->s.base_seconds + (int64_t)((now - rtc->s.base_time) / time_hz());
}

/* The ten time bytes and the century from the running clock. */
static void rtc_store_time(struct rtc *rtc, int64_t seconds)
{
	struct calendar date;

	calendar_from_seconds(&date, seconds);
	rtc->s.bytes[REG_SECOND] = rtc_encode(rtc, date.second);
	rtc->s.bytes[REG_MINUTE] = rtc_encode(rtc, date.minute);
	rtc->s.bytes[REG_HOUR] = rtc_encode_hour(rtc, date.hour);
	rtc->s.bytes[REG_WEEKDAY] = rtc_encode(rtc, date.weekday + 1);
	rtc->s.bytes[REG_DAY] = rtc_encode(rtc, date.day);
	rtc->s.bytes[REG_MONTH] = rtc_encode(rtc, date.month);
	rtc->s.bytes[REG_YEAR] = rtc_encode(rtc, date.year % 100);
	rtc->s.bytes[REG_CENTURY] = (uint8_t)(date.year / 1000 % 10 << 4 | date.year / 100 % 10);	/* always BCD */
}

/* The clock from the ten bytes; the fraction of the second starts over. */
static void rtc_load_time(struct rtc *rtc, uint64_t now)
{
	uint8_t century = rtc->s.bytes[REG_CENTURY];
	struct calendar date = {
		.second = rtc_decode(rtc, rtc->s.bytes[REG_SECOND]),
		.minute = rtc_decode(rtc, rtc->s.bytes[REG_MINUTE]),
		.hour = rtc_decode_hour(rtc, rtc->s.bytes[REG_HOUR]),
		.day = rtc_decode(rtc, rtc->s.bytes[REG_DAY]),
		.month = rtc_decode(rtc, rtc->s.bytes[REG_MONTH]),
		.year = rtc_decode(rtc, rtc->s.bytes[REG_YEAR]) +
			((century >> 4) * 10U + (century & 0xfU)) * 100U,
	};

	rtc->s.base_time = now;
	rtc->s.base_seconds = rtc->s.seen_second = calendar_to_seconds(&date);
}

/* ---- Events: update-ended, alarm, periodic ---- */

static uint64_t rtc_period_hz(const struct rtc *rtc)
{
	unsigned rate = rtc->s.bytes[REG_A] & A_RATE;

	if (!rate)
		return 0;
	if (rate <= SLOW_RATES)
		rate += SLOW_SHIFT;
	return CRYSTAL_HZ >> (rate - 1);
}

static uint64_t rtc_periods(const struct rtc *rtc, uint64_t now)
{
	return mul_div64(now - rtc->s.base_time, rtc_period_hz(rtc), time_hz());
}

static bool alarm_matches(unsigned value, uint8_t alarm, unsigned alarm_value)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || value == alarm_value;
}

/*
 * The first second after `seconds` that matches the alarm; INT64_MAX when none does within a day. Skips by
 * hours, then minutes: at most 24 + 60 + 60 steps for any register contents.
 */
static int64_t rtc_next_alarm(const struct rtc *rtc, int64_t seconds)
{
	const uint8_t *bytes = rtc->s.bytes;
	unsigned hour = rtc_decode_hour(rtc, bytes[REG_HOUR_ALARM]);
	unsigned minute = rtc_decode(rtc, bytes[REG_MINUTE_ALARM]);
	unsigned second = rtc_decode(rtc, bytes[REG_SECOND_ALARM]);
	int64_t last = seconds + SECONDS_PER_DAY;
	int64_t at = seconds + 1;

	while (at <= last) {
		struct calendar date;

		calendar_from_seconds(&date, at);
		if (!alarm_matches(date.hour, bytes[REG_HOUR_ALARM], hour))
			at += SECONDS_PER_HOUR - date.minute * SECONDS_PER_MINUTE - date.second;
		else if (!alarm_matches(date.minute, bytes[REG_MINUTE_ALARM], minute))
			at += SECONDS_PER_MINUTE - date.second;
		else if (!alarm_matches(date.second, bytes[REG_SECOND_ALARM], second))
			at++;
		else
			return at;
	}
	return INT64_MAX;
}

/* Bring the flags up to now. */
static void rtc_update_flags(struct rtc *rtc, uint64_t now)
{
	uint64_t hz = rtc_period_hz(rtc);
	uint64_t period = rtc_periods(rtc, now);
	int64_t seconds = rtc_seconds(rtc, now);

	if (hz && period > rtc->s.seen_period)
		rtc->s.flags |= C_PF;
	rtc->s.seen_period = period;
	if (is_held(rtc) || seconds <= rtc->s.seen_second)
		return;
	rtc->s.flags |= C_UF | (rtc_next_alarm(rtc, rtc->s.seen_second) <= seconds ? C_AF : 0);
	rtc->s.seen_second = seconds;
}

static void rtc_update_irq(struct rtc *rtc)
{
	bool is_high = rtc->s.flags & rtc->s.bytes[REG_B] & C_SOURCES;

	if (is_high == !!(rtc->s.flags & C_IRQF))
		return;
	rtc->s.flags ^= C_IRQF;
	irq_set(&rtc->irq, is_high);
}

/* When, in the VM's time, the clock shows this second. */
static uint64_t second_to_time(const struct rtc *rtc, int64_t seconds)
{
	return rtc->s.base_time + mul_div64((uint64_t)(seconds - rtc->s.base_seconds), time_hz(), 1);
}

/* Arm the timer for the next enabled event. While IRQF is set nothing can interrupt anew: no timer until C is read. */
static void rtc_arm(struct rtc *rtc)
{
	uint8_t enabled = rtc->s.bytes[REG_B];
	uint64_t hz = rtc_period_hz(rtc);
	uint64_t next = TIMER_NEVER;

	if (!(rtc->s.flags & C_IRQF)) {
		if ((enabled & B_PIE) && hz)
			next = rtc->s.base_time + mul_div64(rtc->s.seen_period + 1, time_hz(), hz) + 1;
		if ((enabled & B_UIE) && !is_held(rtc))
			next = min_u64(next, second_to_time(rtc, rtc->s.seen_second + 1));
		if ((enabled & B_AIE) && !is_held(rtc)) {
			int64_t alarm = rtc_next_alarm(rtc, rtc->s.seen_second);

			if (alarm != INT64_MAX)
				next = min_u64(next, second_to_time(rtc, alarm));
		}
	}
	vm_clock_arm(rtc->clock, &rtc->timer, next);
}

static void rtc_refresh(struct rtc *rtc, uint64_t now)
{
	rtc_update_flags(rtc, now);
	rtc_update_irq(rtc);
	rtc_arm(rtc);
}

static void rtc_fire(void *ctx)
{
	struct rtc *rtc = ctx;

	rtc_refresh(rtc, vm_clock_now(rtc->clock));
}

/* ---- Registers ---- */

static bool is_time(unsigned reg)
{
	return reg == REG_CENTURY || (reg <= REG_YEAR && reg != REG_SECOND_ALARM && reg != REG_MINUTE_ALARM &&
				      reg != REG_HOUR_ALARM);
}

static bool is_updating(const struct rtc *rtc, uint64_t now)
{
	uint64_t hz = time_hz();

	return !is_held(rtc) && (now - rtc->s.base_time) % hz >= hz - hz / UIP_PER_SECOND;
}

static uint8_t rtc_read_flags(struct rtc *rtc, uint64_t now)
{
	uint8_t flags;

	rtc_refresh(rtc, now);
	flags = rtc->s.flags;
	rtc->s.flags &= C_IRQF;		/* reading clears all; the line follows */
	rtc_refresh(rtc, now);
	return flags;
}

/* The time bytes hold for a second: a guest that waits for the next one reads them without end. */
__attribute__((noinline)) static void rtc_show_time(struct rtc *rtc, uint64_t now)
{
	int64_t seconds = rtc_seconds(rtc, now);

	if (is_held(rtc))
		return;
	rtc_store_time(rtc, seconds);
	rtc->shown_until = second_to_time(rtc, seconds + 1);
}

static uint8_t rtc_read_register(struct rtc *rtc, unsigned reg, uint64_t now)
{
	if (is_time(reg)) {
		if (now >= rtc->shown_until)
			rtc_show_time(rtc, now);
		return rtc->s.bytes[reg];
	}
	if (reg == REG_A)
		return (uint8_t)(rtc->s.bytes[REG_A] | (is_updating(rtc, now) ? A_UIP : 0));
	if (reg == REG_C)
		return rtc_read_flags(rtc, now);
	return reg == REG_D ? D_VALID : rtc->s.bytes[reg];
}

/* A and B: what they hold changes how, and whether, the clock runs. */
static void rtc_write_control(struct rtc *rtc, unsigned reg, uint8_t value, uint64_t now)
{
	bool was_held = is_held(rtc);

	rtc->shown_until = 0;
	rtc_update_flags(rtc, now);
	if (!was_held)
		rtc_store_time(rtc, rtc_seconds(rtc, now));
	if (reg == REG_A)
		rtc->s.bytes[REG_A] = value & (uint8_t)~A_UIP;
	else
		rtc->s.bytes[REG_B] = value & B_SET ? value & (uint8_t)~B_UIE : value;	/* SET clears UIE */
	if (was_held && !is_held(rtc))
		rtc_load_time(rtc, now);
	rtc->s.seen_period = rtc_periods(rtc, now);
	rtc_refresh(rtc, now);
}

static void rtc_write_register(struct rtc *rtc, unsigned reg, uint8_t value, uint64_t now)
{
	if (reg == REG_A || reg == REG_B) {
		rtc_write_control(rtc, reg, value, now);
		return;
	}
	if (reg == REG_C || reg == REG_D)
		return;
	if (!is_time(reg)) {
		rtc_update_flags(rtc, now);	/* by the old alarm */
		rtc->s.bytes[reg] = value;
		rtc_refresh(rtc, now);
		return;
	}
	rtc->shown_until = 0;
	if (!is_held(rtc))
		rtc_store_time(rtc, rtc_seconds(rtc, now));
	rtc->s.bytes[reg] = value;
	if (!is_held(rtc)) {
		rtc_load_time(rtc, now);
		rtc->s.seen_period = 0;
		rtc_refresh(rtc, now);
	}
}

static uint64_t rtc_read(void *dev, uint64_t offset, unsigned size)
{
	struct rtc *rtc = dev;

	(void)size;
	/* The index is write-only. */
	return offset ? rtc_read_register(rtc, rtc->s.index, vm_clock_now(rtc->clock)) : UINT8_MAX;
}

static void rtc_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = dev;

	(void)size;
	if (offset)
		rtc_write_register(rtc, rtc->s.index, (uint8_t)value, vm_clock_now(rtc->clock));
	else
		rtc->s.index = (uint8_t)value & INDEX_MASK;
}

static const struct bus_range rtc_ranges[] = {
	{ "rtc", 0x70, 2, BUS_SIZE_1, rtc_read, rtc_write, NULL },
};

int rtc_map(struct rtc *rtc, struct bus *pio)
{
	return bus_add_table(pio, rtc_ranges, countof(rtc_ranges), rtc);
}

/* ---- Life ---- */

void rtc_reset(struct rtc *rtc)
{
	rtc->s.index = 0;
	rtc->s.flags = 0;
	rtc->s.bytes[REG_B] &= (uint8_t)~(B_UIE | B_AIE | B_PIE);
	irq_lower(&rtc->irq);
	rtc_refresh(rtc, vm_clock_now(rtc->clock));
}

/* Make a loaded state safe: seconds within the calendar, so that sums do not wrap, and no event ahead of the clock. */
void rtc_after_load(void *dev)
{
	struct rtc *rtc = dev;
	struct rtc_state *s = &rtc->s;
	uint64_t now = vm_clock_now(rtc->clock);

	rtc->shown_until = 0;
	s->index &= INDEX_MASK;
	s->base_time = min_u64(s->base_time, now);
	if (s->base_seconds < -SECONDS_LIMIT || s->base_seconds > SECONDS_LIMIT)
		s->base_seconds = 0;
	if (s->seen_second < s->base_seconds || s->seen_second > rtc_seconds(rtc, now))
		s->seen_second = rtc_seconds(rtc, now);
	s->seen_period = min_u64(s->seen_period, rtc_periods(rtc, now));
	s->flags &= C_SOURCES | C_IRQF;
	irq_set(&rtc->irq, s->flags & C_IRQF);
	rtc_refresh(rtc, now);
}

void rtc_init(struct rtc *rtc, uint64_t seconds, uint64_t low, uint64_t above_4g, const struct vm_clock *clock,
	      const struct irq_line *irq)
{
	*rtc = (struct rtc){ .clock = clock, .irq = *irq, .s.base_time = vm_clock_now(clock) };
	rtc->s.base_seconds = rtc->s.seen_second = (int64_t)min_u64(seconds, SECONDS_MAX);
	rtc->s.bytes[REG_A] = A_RESET;
	rtc->s.bytes[REG_B] = B_24H;
	vm_clock_timer(clock, &rtc->timer, rtc_fire, rtc);
	cmos_fill(rtc->s.bytes, low, above_4g);
	rtc_reset(rtc);
}
