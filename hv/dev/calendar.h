/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Unix seconds and Gregorian dates, for the real-time clock. Any field values are accepted and carried
 * over (month 14 is February of the next year), any number of seconds gives a valid date.
 */
#include <stdint.h>

#define SECONDS_PER_MINUTE	60
#define SECONDS_PER_HOUR	3600
#define SECONDS_PER_DAY		86400

struct calendar {
	unsigned second, minute, hour;
	unsigned day, month, year;	/* from 1, from 1, in full */
	unsigned weekday;		/* 0 = Sunday; not an input */
};

/* The 400-year cycle repeats beyond the years 1..9999: the year printed is then one of those. */
void    calendar_from_seconds(struct calendar *date, int64_t seconds);
int64_t calendar_to_seconds(const struct calendar *date);
