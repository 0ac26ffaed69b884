/* SPDX-License-Identifier: MIT */
/*
 * One formatter for everything that becomes text: log, panic, dumps, tables. Pure: it reads its arguments
 * and calls the sink. Whatever it does not understand is printed as it stands, so a wrong format shows
 * itself instead of hiding an argument.
 */
#include "hv/lib/format.h"

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define DIGITS_MAX	20	/* of a 64-bit number in decimal */
#define PAD_MAX		1024U	/* widths beyond this are mistakes */

struct spec {
	bool   is_left, is_zero, is_marked, has_precision;
	size_t width, precision;
	char   size;		/* 0, 'l', 'L' (ll) or 'z' */
	char   conversion;
};

struct output {
	format_sink *sink;
	void        *ctx;
};

static void put(const struct output *out, const char *text, size_t len)
{
	if (len > 0)
		out->sink(out->ctx, text, len);
}

static void pad(const struct output *out, char fill, size_t count)
{
	for (; count > 0; count--)
		put(out, &fill, 1);
}

/* Sign and digits with the padding between them when it is zeros. */
static void put_field(const struct output *out, const struct spec *spec, const char *sign, const char *text, size_t len)
{
	size_t signs = strlen(sign), used = signs + len;
	size_t fill = spec->width > used ? spec->width - used : 0;

	if (!spec->is_left && !spec->is_zero)
		pad(out, ' ', fill);
	put(out, sign, signs);
	if (!spec->is_left && spec->is_zero)
		pad(out, '0', fill);
	put(out, text, len);
	if (spec->is_left)
		pad(out, ' ', fill);
}

static void put_number(const struct output *out, const struct spec *spec, const char *sign, uint64_t val, unsigned base)
{
	const char *symbols = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char digits[DIGITS_MAX];
	size_t start = sizeof(digits);

	do {
		digits[--start] = symbols[val % base];
		val /= base;
	} while (val > 0);
	put_field(out, spec, sign, digits + start, sizeof(digits) - start);
}

static void put_signed(const struct output *out, const struct spec *spec, int64_t val)
{
	uint64_t size = (uint64_t)val;

	if (val < 0)
		put_number(out, spec, "-", 0 - size, 10);
	else
		put_number(out, spec, "", size, 10);
}

static void put_string(const struct output *out, struct spec *spec, const char *text)
{
	size_t len = 0;

	if (!text)
		text = "(null)";
	while ((!spec->has_precision || len < spec->precision) && text[len])
		len++;
	spec->is_zero = false;
	put_field(out, spec, "", text, len);
}

static const char *parse_count(const char *at, size_t *count)
{
	*count = 0;
	for (; *at >= '0' && *at <= '9'; at++)
		if (*count < PAD_MAX)
			*count = *count * 10 + (size_t)(*at - '0');
	*count = min_size(*count, PAD_MAX);
	return at;
}

/* Behind the '%': fills spec, returns the place after the conversion character. */
static const char *parse_spec(const char *at, struct spec *spec, va_list *args)
{
	*spec = (struct spec){ 0 };
	for (; *at == '-' || *at == '0' || *at == '#'; at++) {
		spec->is_left |= *at == '-';
		spec->is_zero |= *at == '0';
		spec->is_marked |= *at == '#';
	}
	if (*at == '*') {
		int width = va_arg(*args, int);

		spec->width = width > 0 ? min_size((size_t)width, PAD_MAX) : 0;
		at++;
	} else {
		at = parse_count(at, &spec->width);
	}
	if (*at == '.') {
		spec->has_precision = true;
		if (at[1] == '*') {
			int precision = va_arg(*args, int);

			spec->has_precision = precision >= 0;
			spec->precision = spec->has_precision ? (size_t)precision : 0;
			at += 2;
		} else {
			at = parse_count(at + 1, &spec->precision);
		}
	}
	if (*at == 'z' || *at == 'l')
		spec->size = *at++;
	if (spec->size == 'l' && *at == 'l')
		at++;
	spec->conversion = *at;
	return *at ? at + 1 : at;
}

/* False: not one of ours, nothing consumed. */
static bool convert(const struct output *out, struct spec *spec, va_list *args)
{
	bool is_wide = spec->size != 0;		/* long, long long and size_t are all 64 bits */
	char c = spec->conversion;

	if (c == 'd' || c == 'i') {
		put_signed(out, spec, is_wide ? va_arg(*args, int64_t) : va_arg(*args, int));
	} else if (c == 'u' || c == 'x' || c == 'X') {
		uint64_t val = is_wide ? va_arg(*args, uint64_t) : va_arg(*args, unsigned int);
		bool is_marked = spec->is_marked && c == 'x' && val != 0;	/* as C has it: 0 is 0 */

		put_number(out, spec, is_marked ? "0x" : "", val, c == 'u' ? 10 : 16);
	} else if (c == 'p') {
		put_number(out, spec, "0x", (uint64_t)(uintptr_t)va_arg(*args, void *), 16);
	} else if (c == 's') {
		put_string(out, spec, va_arg(*args, const char *));
	} else if (c == 'c') {
		char one = (char)va_arg(*args, int);

		spec->is_zero = false;
		put_field(out, spec, "", &one, 1);
	} else if (c == '%') {
		put(out, "%", 1);
	} else {
		return false;
	}
	return true;
}

void format_to(format_sink *sink, void *ctx, const char *fmt, va_list args)
{
	const struct output out = { sink, ctx };
	va_list rest;

	va_copy(rest, args);	/* an array type: only a copy can be passed by address */
	while (*fmt) {
		size_t plain = 0;
		struct spec spec;
		const char *end;

		while (fmt[plain] && fmt[plain] != '%')
			plain++;
		put(&out, fmt, plain);
		fmt += plain;
		if (!*fmt)
			break;
		end = parse_spec(fmt + 1, &spec, &rest);
		if (!convert(&out, &spec, &rest))
			put(&out, fmt, (size_t)(end - fmt));
		fmt = end;
	}
	va_end(rest);
}

struct buffer {
	char  *text;
	size_t size, len;	/* len counts what did not fit too */
};

static void buffer_sink(void *ctx, const char *text, size_t len)
{
	struct buffer *buf = ctx;

	if (buf->len < buf->size)
		memcpy(buf->text + buf->len, text, min_size(len, buf->size - buf->len));
	buf->len += len;
}

size_t format_vbuf(char *text, size_t size, const char *fmt, va_list args)
{
	struct buffer buf = { text, size, 0 };

	format_to(buffer_sink, &buf, fmt, args);
	if (size > 0)
		text[min_size(buf.len, size - 1)] = '\0';
	return buf.len;
}

size_t format_buf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
	len = format_vbuf(buf, size, fmt, args);
	va_end(args);
	return len;
}
