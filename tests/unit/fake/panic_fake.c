/* SPDX-License-Identifier: MIT */
/* A panic that a test survives; contract in panic_fake.h. */
#include "panic_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "hv/panic.h"

char panic_fake_text[256];
static jmp_buf jump;
static bool is_expected;

bool panics(void (*call)(void))
{
	is_expected = true;
	if (setjmp(jump))
		return true;
	call();
	is_expected = false;
	return false;
}

__attribute__((noreturn)) static void leave(const char *fmt, va_list args)
{
	vsnprintf(panic_fake_text, sizeof(panic_fake_text), fmt, args);
	if (!is_expected) {
		fprintf(stderr, "panic: %s\n", panic_fake_text);
		abort();
	}
	is_expected = false;
	longjmp(jump, 1);
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
