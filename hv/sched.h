/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which vCPU runs on this processor: everything that is ready takes turns (turn.h), and the processor halts when
 * nothing is. The scheduler owns the VMs from slots_add (slots.h) to their last end, restarts included.
 */
#include <stdint.h>

struct handoff_host;

/*
 * Before slots_add. The host's settings say by which policy VMs take turns, and which VM owns the terminal: a name,
 * "none", or "" for the only one there is (of `count`); a VM that restarts gets the terminal back.
 */
void sched_init(const struct handoff_host *host, uint32_t count);

/* Run until every VM has ended. Returns how many crashed or could not be started. */
uint32_t sched_run(void);
