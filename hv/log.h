/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The hypervisor's own words: levels, a ring that keeps the last 64 KiB for the panic dump, and output to
 * the console. Lines, not fragments: each call is one line and ends without a newline of its own.
 * Safe before the console exists (the ring keeps the text and console_init prints it) and in a panic.
 */
#include <stdarg.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

void log_set_level(enum log_level level);
enum log_level log_level(void);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);
__attribute__((format(printf, 2, 0))) void log_vline(enum log_level level, const char *fmt, va_list args);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_line(LOG_TRACE, __VA_ARGS__)
