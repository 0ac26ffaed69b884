/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One counter of an 8254: modes 0 to 5, binary or BCD, with its gate (Intel 8254 data sheet, "Mode
 * Definitions"). Nothing counts: everything follows from the VM's clock and the moment counting began. All
 * times are ticks of that clock.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/pc.h"

#define PIT_FULL_BINARY	0x10000U	/* what a count of 0 means */
#define PIT_FULL_BCD	10000U

enum pit_mode { MODE_TERMINAL, MODE_ONE_SHOT, MODE_RATE, MODE_SQUARE, MODE_STROBE, MODE_HW_STROBE };

struct pit_counter {
	uint8_t  mode;			/* enum pit_mode */
	uint8_t  access;		/* 1 low byte, 2 high byte, 3 low then high */
	bool     is_bcd;
	bool     gate;
	bool     is_loaded;		/* a count was written since the control word */
	bool     is_triggered;		/* modes 1 and 5: the gate rose since */
	bool     is_paused;		/* the gate holds the count */
	uint32_t count;			/* 1..65536, or 1..10000 in BCD */
	uint32_t next_count;		/* modes 2 and 3: replaces count at the end of the period, 0 = none */
	uint64_t start;			/* when counting began */
	uint64_t paused;		/* ticks counted before the pause */
	bool     write_high, read_high;	/* which byte comes next */
	uint8_t  write_low;
	bool     has_latch, has_status;
	uint16_t latch;
	uint8_t  status;
};

uint64_t pit_ticks(uint64_t time);	/* so much time in ticks of PIT_HZ */
uint64_t pit_time(uint64_t ticks);	/* the other way, rounded up: pit_ticks of it is at least `ticks` */
bool     pit_counter_is_periodic(const struct pit_counter *counter);

void     pit_counter_sync(struct pit_counter *counter, uint64_t now);	/* call first: a new count may be due */
uint64_t pit_counter_elapsed(const struct pit_counter *counter, uint64_t now);	/* ticks counted; 0 when idle */
bool     pit_counter_output(const struct pit_counter *counter, uint64_t elapsed);
uint16_t pit_counter_value(const struct pit_counter *counter, uint64_t elapsed);
uint64_t pit_counter_steady_until(const struct pit_counter *counter, uint64_t now);	/* the output; now: it may change any moment */
uint64_t pit_counter_next_rise(const struct pit_counter *counter, uint64_t now);	/* or TIMER_NEVER */
void     pit_counter_set_gate(struct pit_counter *counter, bool is_high, uint64_t now);
void     pit_counter_after_load(struct pit_counter *counter, uint64_t now);
void     pit_counter_load(struct pit_counter *counter, uint16_t value, uint64_t now);
