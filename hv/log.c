/* SPDX-License-Identifier: MIT */
/*
 * The log: one line a call, kept in a ring for the panic report and given to the sinks. The ring is
 * written first: if a sink crashes the line can still be found in memory. A line is formatted before the lock is taken.
 */
#include "hv/log.h"

#include <stdint.h>

#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/lock.h"

#define RING_SIZE	(16U << 10)	/* more than a sink that comes late, or a panic, has ever to show */
#define LINE_MAX_LEN	512U
#define PREFIX		"trapeze: "

static struct {
	size_t total;		/* bytes ever written; the ring holds the last RING_SIZE of them */
	char   ring[RING_SIZE];
} log_state;

static struct lock lock = { .rank = LOCK_LOG };
static bool is_seized;
static enum log_level shown_level = LOG_INFO;
static unsigned warnings;
static struct log_sink *sinks;

void log_hold(void)
{
	if (!is_seized)
		lock_take(&lock);
}

void log_release(void)
{
	if (!is_seized)
		lock_drop(&lock);
}

void log_seize(void)
{
	is_seized = true;
}

void log_check_held(void)
{
	if (LOCKS_ARE_CHECKED && !is_seized)
		lock_check_held(&lock);
}

void log_set_level(enum log_level level)
{
	shown_level = level;
}

enum log_level log_level(void)
{
	return shown_level;
}

static void ring_put(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		log_state.ring[log_state.total++ % RING_SIZE] = text[i];
}

/* Does this format bring its own first word? */
static bool has_prefix(const char *fmt)
{
	return fmt[0] == '[' || strncmp(fmt, PREFIX, sizeof(PREFIX) - 1) == 0;
}

static void show(const char *line, size_t len)
{
	for (struct log_sink *sink = sinks; sink; sink = sink->next)
		sink->write(line, len);
}

void log_show(const char *line, size_t len)
{
	log_hold();
	show(line, len);
	log_release();
}

static void log_emit(enum log_level level, bool is_shown, const char *fmt, va_list args)
{
	char line[LINE_MAX_LEN];
	size_t start = has_prefix(fmt) ? 0 : format_buf(line, sizeof(line), PREFIX);
	size_t len = start + format_vbuf(line + start, sizeof(line) - start - 1, fmt, args);

	len = min_size(len, sizeof(line) - 2);
	line[len++] = '\n';
	log_hold();
	warnings += level == LOG_WARN;
	ring_put(line, len);
	if (is_shown)
		show(line, len);
	log_release();
}

void log_vline(enum log_level level, const char *fmt, va_list args)
{
	bool is_shown = level <= shown_level;

	if (is_shown || level <= LOG_DEBUG)
		log_emit(level, is_shown, fmt, args);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_vline(level, fmt, args);
	va_end(args);
}

unsigned log_warnings(void)
{
	return warnings;
}

void log_say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_emit(LOG_INFO, true, fmt, args);
	va_end(args);
}

void log_tail(size_t bytes, format_sink *sink, void *ctx)
{
	size_t held = min_size(log_state.total, RING_SIZE - 1);	/* the byte before the first is looked at */
	size_t at = log_state.total - min_size(bytes, held);

	/* Begin behind a newline, unless the ring begins with the first byte ever written: no half lines. */
	if (at > 0)
		while (at < log_state.total && log_state.ring[(at - 1) % RING_SIZE] != '\n')
			at++;
	while (at < log_state.total) {
		size_t run = min_size(log_state.total - at, RING_SIZE - at % RING_SIZE);

		sink(ctx, log_state.ring + at % RING_SIZE, run);
		at += run;
	}
}

/* ---- Sinks ---- */

struct replay {
	struct log_sink *sink;
	char             line[LINE_MAX_LEN];
	size_t           len;
};

/* The ring comes in pieces of any length; a sink takes lines. */
static void replay_piece(void *ctx, const char *text, size_t len)
{
	struct replay *replay = ctx;

	for (size_t i = 0; i < len; i++) {
		replay->line[replay->len++] = text[i];
		if (text[i] != '\n' && replay->len < sizeof(replay->line))
			continue;
		replay->sink->write(replay->line, replay->len);
		replay->len = 0;
	}
}

void log_add_sink(struct log_sink *sink)
{
	struct replay replay = { .sink = sink };

	log_hold();
	log_tail(LOG_TAIL_ALL, replay_piece, &replay);
	sink->next = sinks;
	sinks = sink;
	log_release();
}

bool log_has_sink(void)
{
	return sinks;
}

void log_flush(void)
{
	log_hold();
	for (struct log_sink *sink = sinks; sink; sink = sink->next)
		sink->flush();
	log_release();
}
