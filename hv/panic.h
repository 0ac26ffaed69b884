/* SPDX-License-Identifier: MIT */
#pragma once
/* We are wrong: print everything by name and stop the machine. Never for anything a guest can cause. */
struct trap_frame;

__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *fmt, ...);
/* The same with the registers of the exception that brought us here. */
__attribute__((noreturn, format(printf, 2, 3))) void panic_trap(const struct trap_frame *frame, const char *fmt, ...);
