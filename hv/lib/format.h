/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One printf-like formatter with a sink. Understands %d %i %u %x %X %c %s %p %% with l, ll, z, width,
 * precision for strings, zero fill, left alignment and %#x; anything else is printed as it stands. scripts/lint looks
 * for anything else in every call.
 */
#include <stdarg.h>
#include <stddef.h>

typedef void format_sink(void *ctx, const char *text, size_t len);

__attribute__((format(printf, 3, 0))) void format_to(format_sink *sink, void *ctx, const char *fmt, va_list args);

/* Into a buffer, truncated, always terminated when size > 0; returns the untruncated length. */
__attribute__((format(printf, 3, 4))) size_t format_buf(char *buf, size_t size, const char *fmt, ...);
__attribute__((format(printf, 3, 0))) size_t format_vbuf(char *buf, size_t size, const char *fmt, va_list args);
