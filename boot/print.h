/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Early text, on the screen and on COM1 at once. Lines are few and short: a character costs an emulator thousands
 * of instructions.
 */
#include "boot/firmware.h"

void print_start(const struct firmware *fw);
__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);
/* Boot services are about to end: from here on only the serial port. */
void print_leave_screen(void);
