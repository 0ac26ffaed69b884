/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The neutral handlers of exits (exit/handlers.h) for tests of the vendors' halves: each notes its name and what it was
 * given, and answers EXIT_SKIP. Of exit/dr.c there is what follows an emulated instruction, of the local APIC what an exit may tell it.
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
	struct { uint32_t msr; uint64_t val; uint8_t ended; bool refuses; } apic;	/* lapic_msr_write, lapic_page_ended */
} exits_fake;

void exits_fake_init(void);
