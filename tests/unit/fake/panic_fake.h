/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * hv/panic.h for host tests that expect one: PANICS(call) is true when the call panicked, and panic_fake_text says for
 * what. A panic that nobody expects ends the test.
 */
#include <setjmp.h>
#include <stdbool.h>

extern jmp_buf panic_fake_jump;
extern bool panic_fake_is_expected;
extern char panic_fake_text[256];

#define PANICS(call) (panic_fake_is_expected = true, setjmp(panic_fake_jump) ? true : ((call), panic_fake_is_expected = false))
