/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * MC146818 real-time clock and CMOS memory (Motorola MC146818 data sheet, "Registers").
 *
 *   70  index (bit 7, the NMI mask, is kept elsewhere: ignored)      71  data
 *   00..09 time, alarm and date    0a..0d registers A to D    32 century    rest: memory, sizes as PC firmware fills it
 *
 * The time is the host's at creation plus what the VM's clock counted since. A guest that sets it changes its own time
 * only. Interrupts (IRQ 8): update-ended, alarm, periodic. Flags are computed when they are read or when a timer fires.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/bus.h"
#include "hv/irq.h"
#include "hv/vm_clock.h"

#define RTC_BYTES	128U

struct rtc_state {
	uint8_t  index;
	uint8_t  bytes[RTC_BYTES];	/* registers A, B, the alarm, and memory; time fields while SET holds them */
	uint8_t  flags;			/* register C */
	int64_t  base_seconds;		/* Unix time at base_time; may be moved before 1970 by a guest */
	uint64_t base_time;		/* ticks of the VM's clock */
	int64_t  seen_second;		/* flags are right up to here... */
	uint64_t seen_period;		/* ...and here */
};

struct rtc {
	struct rtc_state s;
	const struct vm_clock *clock;
	struct irq_line irq;
	struct timer    timer;
	uint64_t        shown_until;	/* VM time up to which the time fields in s.bytes are right; 0: they must be computed */
};

/* seconds: Unix time now (host_rtc_seconds()); low, above_4g: bytes of guest RAM, for the size fields. */
void rtc_init(struct rtc *rtc, uint64_t seconds, uint64_t low, uint64_t above_4g, const struct vm_clock *clock,
	      const struct irq_line *irq);
void rtc_reset(struct rtc *rtc);	/* keeps time and memory, as the battery does */
void rtc_after_load(void *dev);
__attribute__((warn_unused_result)) int rtc_map(struct rtc *rtc, struct bus *pio);
