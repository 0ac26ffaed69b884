/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which vCPU runs on this processor: all that live here (home.h) and are ready take turns (turn.h), and the
 * processor halts when nothing is. The scheduler owns the VMs from slots_add (slots.h) to their last end,
 * restarts included.
 */
#include <stdint.h>

struct handoff_host;

/*
 * Before slots_add. The host's settings say by which policy VMs take turns, and which VM owns the terminal: a name,
 * "none", or "" for the only one there is (of `count`); a VM that restarts gets the terminal back.
 */
void sched_init(const struct handoff_host *host, uint32_t count);

/* On each processor: run the VMs that live there until every VM of the machine has ended. */
void sched_run(void);
