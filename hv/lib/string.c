/* SPDX-License-Identifier: MIT */
/*
 * The little <string.h>. The compiler emits calls to memcpy, memmove, memset and memcmp on its own, so
 * these four must exist and must not be recognized as themselves: a plain copy loop in memcpy would be
 * compiled into a call to memcpy. The string instructions below cannot be; the direction flag is clear
 * everywhere (start.asm, trap_entry.asm). Words first: REP moves one element a step on simple processors.
 */
#include "hv/lib/string.h"

#include <stdint.h>

#define WORD	sizeof(uint64_t)

static void copy_up(void *to, const void *from, size_t len)
{
	size_t words = len / WORD, bytes = len % WORD;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

/* From the last byte to the first, for a target that begins inside the source. */
static void copy_down(uint8_t *to, const uint8_t *from, size_t len)
{
	while (len > 0) {
		len--;
		to[len] = from[len];
		__asm__ volatile("" : : : "memory");	/* or the loop becomes a call to memmove */
	}
}

void *memcpy(void *to, const void *from, size_t len)
{
	copy_up(to, from, len);
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	if ((uintptr_t)to - (uintptr_t)from >= len)
		copy_up(to, from, len);
	else
		copy_down(to, from, len);
	return to;
}

void *memset(void *to, int byte, size_t len)
{
	uint64_t pattern = (uint8_t)byte * 0x0101010101010101ULL;
	size_t words = len / WORD, bytes = len % WORD;
	void *at = to;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(pattern) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *left = a, *right = b;

	for (size_t i = 0; i < len; i++)
		if (left[i] != right[i])
			return left[i] - right[i];
	return 0;
}

size_t strlen(const char *text)
{
	size_t len = 0;

	while (text[len]) {
		len++;
		__asm__ volatile("" : "+r"(len));	/* or the loop becomes a call to strlen */
	}
	return len;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (a[i] != b[i])
			return (unsigned char)a[i] - (unsigned char)b[i];
		if (!a[i])
			break;
	}
	return 0;
}

char *strchr(const char *text, int c)
{
	for (;; text++) {
		if (*text == (char)c)
			return (char *)(uintptr_t)text;	/* the standard's signature gives const away */
		if (!*text)
			return NULL;
	}
}

size_t text_copy(char *to, const char *from, size_t size)
{
	size_t len = strlen(from);

	if (size > 0) {
		size_t part = len < size ? len : size - 1;

		memcpy(to, from, part);
		to[part] = '\0';
	}
	return len;
}
