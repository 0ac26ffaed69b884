/* SPDX-License-Identifier: MIT */
/* hv/log.h for host tests: counts the lines, keeps the last and prints nothing. */
#include "log_fake.h"

#include <stdio.h>

#include "hv/log.h"

unsigned log_fake_lines;
char log_fake_last[512];

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	(void)level;
	va_start(args, fmt);
	vsnprintf(log_fake_last, sizeof(log_fake_last), fmt, args);
	va_end(args);
	log_fake_lines++;
}

void log_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(log_fake_last, sizeof(log_fake_last), fmt, args);
	va_end(args);
	log_fake_lines++;
}
