/* SPDX-License-Identifier: MIT */
/*
 * Time: the TSC, and how fast it runs. CPUID leaves 0x15 and 0x16 are not asked: emulators repeat the
 * figures of real silicon there while their TSC runs at another rate. Measured instead against
 * channel 2 of the 8254 through the speaker gate, in several short windows of which the shortest counts: an
 * SMI or a busy emulator host can only stretch a window, because the TSC is read before the gate opens and
 * after the output is seen. Some new chip sets switch the 8254's clock off; then two seconds of the real-time clock
 * are measured.
 */
#include "arch/x86/host/tsc.h"

#include <stdbool.h>

#include "hv/lib/bits.h"
#include "arch/x86/hw/insn.h"
#include "hv/dev/calendar.h"
#include "hv/host.h"
#include "hv/lib/pc.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/timer.h"

#define PIT_CHANNEL2		0x42
#define PIT_COMMAND		0x43
#define PIT_CH2_MODE0		0xb0	/* channel 2, low byte then high, mode 0: output rises at the end */
#define PORT_B			0x61
#define PORT_B_GATE		BIT(0)	/* channel 2 counts while set */
#define PORT_B_SPEAKER		BIT(1)
#define PORT_B_OUTPUT		BIT(5)

#define WINDOW_COUNT		(PIT_HZ / 100)	/* 10 ms */
#define WINDOWS			3U
#define WINDOWS_MAX		9U		/* when the first do not agree */
#define AGREE_PERCENT		1U
#define PORT_POLLS_MAX		10000000U	/* a port access takes about a microsecond: ten seconds, of CMOS twenty */

#define CMOS_INDEX		0x70
#define CMOS_DATA		0x71
#define CMOS_NMI_OFF		0x80
#define RTC_STATUS_A		0x0a
#define RTC_STATUS_B		0x0b
#define RTC_UPDATING		BIT(7)
#define RTC_24_HOURS		BIT(1)
#define RTC_BINARY		BIT(2)
#define RTC_PM			0x80
#define CENTURY			2000U	/* the register for it is nowhere standard */

#define HZ_GUESS		1000000000ULL

static uint64_t tsc_hz;		/* 0: not measured yet */

uint64_t time_hz(void)
{
	if (!tsc_hz)
		tsc_init();	/* the first caller waits for the measurement */
	return tsc_hz;
}

/* TSC ticks of one window; 0 when the 8254 does not count. */
static uint64_t measure_window(void)
{
	uint8_t port_b = inb(PORT_B) & (uint8_t)~(PORT_B_GATE | PORT_B_SPEAKER);
	uint64_t start, end;
	uint32_t polls = 0;

	outb(PORT_B, port_b);
	outb(PIT_COMMAND, PIT_CH2_MODE0);
	outb(PIT_CHANNEL2, (uint8_t)field_get(WINDOW_COUNT, FIELD(7, 0)));
	outb(PIT_CHANNEL2, (uint8_t)field_get(WINDOW_COUNT, FIELD(15, 8)));
	start = rdtsc();
	outb(PORT_B, port_b | (uint8_t)PORT_B_GATE);
	while (!(inb(PORT_B) & PORT_B_OUTPUT))
		if (++polls == PORT_POLLS_MAX)
			return 0;
	end = rdtsc();
	outb(PORT_B, port_b);
	return polls > 1 ? end - start : 0;	/* the output was high at the first look: the 8254 does not count */
}

static void insert_sorted(uint64_t *vals, size_t count, uint64_t val)
{
	for (; count > 0 && vals[count - 1] > val; count--)
		vals[count] = vals[count - 1];
	vals[count] = val;
}

/* The shortest window counts only when a second one is within a percent of it: then neither was disturbed. */
static bool windows_agree(const uint64_t *vals)
{
	return vals[1] - vals[0] <= vals[0] * AGREE_PERCENT / 100;
}

static uint64_t hz_from_pit(void)
{
	uint64_t vals[WINDOWS_MAX];
	size_t count = 0;

	while (count < WINDOWS || (count < WINDOWS_MAX && !windows_agree(vals))) {
		uint64_t ticks = measure_window();

		if (!ticks)
			return 0;
		insert_sorted(vals, count++, ticks);
	}
	if (!windows_agree(vals))
		log_warn("TZ-W025 the shortest of %u measurements of the TSC agrees with no other: guests' time may be wrong", WINDOWS_MAX);
	return mul_div64(vals[0], PIT_HZ, WINDOW_COUNT);
}

/* ---- The real-time clock ---- */

static uint8_t cmos_read(uint8_t reg)
{
	outb(CMOS_INDEX, CMOS_NMI_OFF | reg);
	return inb(CMOS_DATA);
}

/* In the order of tm below. */
static const uint8_t rtc_regs[] = { 0x00, 0x02, 0x04, 0x07, 0x08, 0x09 };
enum { RTC_SECOND, RTC_MINUTE, RTC_HOUR, RTC_DAY, RTC_MONTH, RTC_YEAR, RTC_COUNT };

static bool rtc_wait_steady(void)
{
	uint32_t polls = 0;

	while (cmos_read(RTC_STATUS_A) & RTC_UPDATING)
		if (++polls == PORT_POLLS_MAX)
			return false;
	return true;
}

static void rtc_read(uint8_t *tm)
{
	for (size_t i = 0; i < RTC_COUNT; i++)
		tm[i] = cmos_read(rtc_regs[i]);
}

static unsigned from_bcd(uint8_t val)
{
	return (unsigned)field_get(val, FIELD(7, 4)) * 10 + (unsigned)field_get(val, FIELD(3, 0));
}

static uint64_t rtc_to_seconds(const uint8_t *raw, uint8_t status)
{
	unsigned tm[RTC_COUNT];
	uint8_t hour = raw[RTC_HOUR];

	for (size_t i = 0; i < RTC_COUNT; i++)
		tm[i] = status & RTC_BINARY ? raw[i] : from_bcd(raw[i]);
	if (!(status & RTC_24_HOURS)) {
		uint8_t half = hour & (uint8_t)~RTC_PM;

		tm[RTC_HOUR] = (status & RTC_BINARY ? half : from_bcd(half)) % 12 + (hour & RTC_PM ? 12U : 0U);
	}
	return (uint64_t)calendar_to_seconds(&(struct calendar){
		.second = tm[RTC_SECOND], .minute = tm[RTC_MINUTE], .hour = tm[RTC_HOUR],
		.day = tm[RTC_DAY], .month = tm[RTC_MONTH], .year = CENTURY + tm[RTC_YEAR],
	});
}

/* Read until two readings agree: the clock may tick in between. 0: it stands still in the middle of an update. */
static uint64_t rtc_seconds(void)
{
	uint8_t now[RTC_COUNT], before[RTC_COUNT];
	bool is_same;

	do {
		is_same = true;
		if (!rtc_wait_steady())
			return 0;
		rtc_read(before);
		rtc_read(now);
		for (size_t i = 0; i < RTC_COUNT; i++)
			is_same = is_same && now[i] == before[i];
	} while (!is_same);
	return rtc_to_seconds(now, cmos_read(RTC_STATUS_B));
}

static struct { uint64_t seconds, tsc; } rtc_start;	/* constant when VMs run */

/*
 * The chip is read once: it has two ports for all processors, and an update of it takes up to 2 ms (MC146818 data
 * sheet, "Update Cycle"). From there on the TSC counts, by its measured rate: after a day the date of a VM that
 * starts may be some seconds off, and the guest's own clock goes at that rate anyhow.
 */
uint64_t host_rtc_seconds(void)
{
	return rtc_start.seconds + (rdtsc() - rtc_start.tsc) / tsc_hz;
}

/* The TSC at the next change of the second; 0 when the clock stands still. */
static uint64_t rtc_next_second(void)
{
	uint8_t second = cmos_read(rtc_regs[RTC_SECOND]);

	for (uint32_t polls = 0; polls < PORT_POLLS_MAX; polls++)
		if (cmos_read(rtc_regs[RTC_SECOND]) != second)
			return rdtsc();
	return 0;
}

static uint64_t hz_from_rtc(void)
{
	uint64_t start = rtc_next_second(), end = start ? rtc_next_second() : 0;

	return end ? end - start : 0;
}

static void measure(void)
{
	uint64_t hz;

	tsc_hz = HZ_GUESS;	/* while we measure: a log line on the screen may ask for the rate */
	hz = hz_from_pit();
	if (!hz) {
		log_warn("the 8254 timer does not count; measuring the TSC against the real-time clock");
		hz = hz_from_rtc();
	}
	if (!hz) {
		log_warn("TZ-W020 no clock to measure the TSC against: guests' time will be wrong");
		return;
	}
	tsc_hz = hz;
	log_debug("TSC runs at %lu Hz", tsc_hz);
}

void tsc_init(void)
{
	if (tsc_hz)
		return;
	measure();
	rtc_start.seconds = rtc_seconds();
	rtc_start.tsc = rdtsc();
}
