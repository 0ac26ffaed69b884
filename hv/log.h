/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The hypervisor's own words: levels, a ring that keeps the last 16 KiB for the panic report, and sinks that show
 * the lines to somebody. Lines, not fragments: each call is one line and ends without a newline of its own.
 * Safe before there is a sink (the ring keeps the text, and a sink gets it when it registers) and in a panic.
 *
 * No call waits for a slow terminal while guests may run: a sink that has no room drops the line and counts it.
 *
 * Any processor may log: lines of several come one after the other, whole (the lock is in hv/lock.h).
 *
 * Lines begin with "trapeze: ", which log_line adds unless they begin with it or with '[' (a VM's name).
 * LOG_DEBUG lines reach the ring even when the level keeps them off the console.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "hv/lib/format.h"
#include "hv/lib/log_level.h"

void log_set_level(enum log_level level);
enum log_level log_level(void);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);
__attribute__((format(printf, 2, 0))) void log_vline(enum log_level level, const char *fmt, va_list args);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_line(LOG_TRACE, __VA_ARGS__)

/* How many lines of LOG_WARN there were, shown or not: for the verdict of the start. */
unsigned log_warnings(void);

/* A line whatever the level is: READY, END, the panic report. */
__attribute__((format(printf, 1, 2))) void log_say(const char *fmt, ...);

/*
 * Whoever shows lines. `write` gets one whole line with its newline and never waits. `flush` waits until all lines
 * are out; lines that come after the first flush are waited for as well.
 */
struct log_sink {
	void (*write)(const char *line, size_t len);
	void (*flush)(void);
	struct log_sink *next;
};
void log_add_sink(struct log_sink *sink);	/* static storage; gets what the ring holds, then every shown line */
bool log_has_sink(void);
void log_show(const char *line, size_t len);	/* to the sinks alone: what is in the ring already */
void log_flush(void);				/* for the panic and the end of the machine, when no guest runs any more */

/*
 * The last `bytes` of the ring, from the start of a line on. The caller is alone with the log: it has seized
 * it, or holds it.
 */
void log_tail(size_t bytes, format_sink *sink, void *ctx);
#define LOG_TAIL_ALL	((size_t)-1)

/*
 * Whoever else writes where the sinks write keeps other processors out meanwhile, and logs nothing before
 * log_release. A panic seizes the log for good: it may have struck while its own or another processor held
 * it.
 */
void log_hold(void);
void log_release(void);
void log_seize(void);
void log_check_held(void);	/* of `make DEBUG=1`: panics unless this processor holds the log, or it is seized */
