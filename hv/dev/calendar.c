/* SPDX-License-Identifier: MIT */
/*
 * Days are counted from 1 March of the year 0, so that the leap day is the last of its year and the length
 * of the months before a month is one linear formula (calendar.h).
 */
#include "hv/dev/calendar.h"

#define DAYS_PER_ERA	146097	/* 400 years */
#define YEARS_PER_ERA	400
#define DAYS_PER_YEAR	365
#define DAYS_TO_1970	719468	/* from 0000-03-01 */
#define WEEKDAY_1970	4	/* Thursday */
#define DAYS_PER_WEEK	7
#define MONTHS		12U
#define YEAR_MAX	9999U
#define ERAS_MAX	24	/* keeps the year below 10,000 */

/* Days in a March-based year before month m (0 = March): 153 days in every five months. */
static int64_t days_before_month(int64_t m)
{
	return (153 * m + 2) / 5;
}

void calendar_from_seconds(struct calendar *date, int64_t seconds)
{
	int64_t days = seconds / SECONDS_PER_DAY, rest = seconds % SECONDS_PER_DAY;
	int64_t era, year, day, month;

	if (rest < 0) {
		rest += SECONDS_PER_DAY;
		days--;
	}
	date->second = (unsigned)(rest % SECONDS_PER_MINUTE);
	date->minute = (unsigned)(rest / SECONDS_PER_MINUTE % 60);
	date->hour = (unsigned)(rest / SECONDS_PER_HOUR);
	date->weekday = (unsigned)(((days + WEEKDAY_1970) % DAYS_PER_WEEK + DAYS_PER_WEEK) % DAYS_PER_WEEK);

	days += DAYS_TO_1970;
	era = days / DAYS_PER_ERA;
	day = days % DAYS_PER_ERA;
	if (day < 0) {
		day += DAYS_PER_ERA;
		era--;
	}
	/* Years of the era: take out one day for each leap year passed, put back for each century. */
	year = (day - day / 1460 + day / 36524 - day / (DAYS_PER_ERA - 1)) / DAYS_PER_YEAR;
	day -= DAYS_PER_YEAR * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153;
	date->day = (unsigned)(day - days_before_month(month) + 1);
	date->month = (unsigned)(month < 10 ? month + 3 : month - 9);
	era = (era % ERAS_MAX + ERAS_MAX) % ERAS_MAX;
	date->year = (unsigned)(year + era * YEARS_PER_ERA) + (date->month <= 2 ? 1 : 0);
}

int64_t calendar_to_seconds(const struct calendar *date)
{
	unsigned month = date->month ? date->month - 1 : 0;	/* from January = 0 */
	int64_t year = (int64_t)(date->year % (YEAR_MAX + 1) + month / MONTHS);
	int64_t march = month % MONTHS >= 2 ? month % MONTHS - 2 : month % MONTHS + 10;
	int64_t era, days;

	if (march >= 10)
		year--;
	era = year >= 0 ? year / YEARS_PER_ERA : -1;
	year -= era * YEARS_PER_ERA;
	days = era * DAYS_PER_ERA + year * DAYS_PER_YEAR + year / 4 - year / 100 + days_before_month(march);
	days += (int64_t)(date->day ? date->day - 1 : 0) - DAYS_TO_1970;
	return days * SECONDS_PER_DAY + (int64_t)date->hour * SECONDS_PER_HOUR +
	       (int64_t)date->minute * SECONDS_PER_MINUTE + date->second;
}
