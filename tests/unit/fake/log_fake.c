/* SPDX-License-Identifier: MIT */
/* hv/log.h for host tests: counts the lines and prints nothing. */
#include "log_fake.h"

#include "hv/log.h"

unsigned log_fake_lines;

void log_line(enum log_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
	log_fake_lines++;
}
