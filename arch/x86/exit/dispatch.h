/* SPDX-License-Identifier: MIT */
#pragma once
/* What a vCPU keeps for the dispatcher (dispatch.c) from one exit to the next. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/exit/exit.h"
#include "arch/x86/exit/record.h"

/*
 * The exit-loop detector: how often in a row the same exit came at the same RIP while no handler said
 * exit_progress.
 */
struct exit_loop {
	uint64_t rip;
	uint64_t next;		/* vcpu->exits at an exit that follows directly on the last one counted here */
	uint32_t reason, count;
	bool     made_progress;
};

/* The exit whose handling took longest: ticks of the host's TSC in the dispatcher, the handler and step_over. */
struct longest_exit {
	uint32_t           ticks;
	struct exit_record exit;
};
