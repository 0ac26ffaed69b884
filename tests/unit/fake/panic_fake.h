/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * hv/panic.h for host tests that expect one: did the call panic? panic_fake_text says for what. A panic that nobody
 * expects ends the test.
 */
#include <stdbool.h>

extern char panic_fake_text[256];

bool panics(void (*call)(void));
