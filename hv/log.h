/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The hypervisor's own words: levels, a ring that keeps the last 32 KiB for the panic dump, and output to
 * the console. Lines, not fragments: each call is one line and ends without a newline of its own.
 * Safe before the console exists (the ring keeps the text and console_init prints it) and in a panic.
 *
 * Lines begin with "trapeze: ", which log_line adds unless they begin with it or with '[' (a VM's name).
 * LOG_DEBUG lines reach the ring even when the level keeps them off the console.
 */
#include <stdarg.h>
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

/* The last `bytes` of the ring, from the start of a line on. */
void log_tail(size_t bytes, format_sink *sink, void *ctx);
#define LOG_TAIL_ALL	((size_t)-1)
