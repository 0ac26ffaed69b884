/* SPDX-License-Identifier: MIT */
/* hv/log.h for host tests: counts the lines, keeps the last few and prints nothing. */
#include "log_fake.h"

#include <stdio.h>

#include "hv/log.h"

#define ROOM	512U	/* for one line */

unsigned log_fake_lines;
char log_fake_text[4096];
void (*log_fake_each)(void);
static size_t used;

void log_fake_init(void)
{
	log_fake_lines = 0;
	used = 0;
	*log_fake_text = '\0';
}

static void add(const char *fmt, va_list args)
{
	log_fake_lines++;
	if (log_fake_each)
		log_fake_each();
	if (used + ROOM + 1 > sizeof(log_fake_text))
		used = 0;
	vsnprintf(log_fake_text + used, ROOM, fmt, args);
	while (log_fake_text[used])
		used++;
	log_fake_text[used++] = '\n';
	log_fake_text[used] = '\0';
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	(void)level;
	va_start(args, fmt);
	add(fmt, args);
	va_end(args);
}

void log_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add(fmt, args);
	va_end(args);
}
