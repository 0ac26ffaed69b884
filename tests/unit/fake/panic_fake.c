/* SPDX-License-Identifier: MIT */
/* A panic that a test survives; contract in panic_fake.h. */
#include "panic_fake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "hv/panic.h"

jmp_buf panic_fake_jump;
bool panic_fake_is_expected;
char panic_fake_text[256];

__attribute__((noreturn)) static void leave(const char *fmt, va_list args)
{
	vsnprintf(panic_fake_text, sizeof(panic_fake_text), fmt, args);
	if (!panic_fake_is_expected) {
		fprintf(stderr, "panic: %s\n", panic_fake_text);
		abort();
	}
	panic_fake_is_expected = false;
	longjmp(panic_fake_jump, 1);
}

void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	leave(fmt, args);
}

void panic_trap(const struct trap_frame *frame, const char *fmt, ...)
{
	va_list args;

	(void)frame;
	va_start(args, fmt);
	leave(fmt, args);
}
