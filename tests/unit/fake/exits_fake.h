/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The neutral handlers of exits (exit/handlers.h) for tests of the vendors' halves: each notes its name and what it was
 * given, and answers EXIT_SKIP. Of exit/dr.c there is what follows an emulated instruction.
 */
#include "arch/x86/exit/decoded.h"

extern struct exits_fake {
	const char *name;		/* of the handler that was called last; NULL: none since exits_fake_init */
	unsigned calls;
	struct pio_access pio;
	struct cr_access cr;
	struct dr_access dr;
	struct npt_fault npt;
	struct exc_info exc;
	struct task_switch task;
	uint8_t irq;
} exits_fake;

void exits_fake_init(void);
