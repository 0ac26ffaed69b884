/* SPDX-License-Identifier: MIT */
#pragma once
/* We are wrong: print everything by name and stop the machine. Never for anything a guest can cause. */
#include <stdbool.h>

struct trap_frame;

/* trapeze.conf, when_done = halt: leave the report on the screen instead of switching off. */
void panic_set_stay_on(bool stay_on);

__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *fmt, ...);
/* The same with the registers of the exception that brought us here. */
__attribute__((noreturn, format(printf, 2, 3))) void panic_trap(const struct trap_frame *frame, const char *fmt, ...);
