/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which vCPU runs on this processor: everything that is ready takes turns (turn.h), and the processor halts when
 * nothing is. The scheduler owns the VMs from sched_add to their last end, restarts (restart.h) included.
 */
#include <stdint.h>

struct handoff_vm;

/*
 * Before sched_add. Which VM owns the terminal: a name, "none", or "" for the only one there is (of `count`); a VM
 * that restarts gets the terminal back.
 */
void sched_init(const char *attach, uint32_t count);

/* Create a VM; it starts in its own turns. 0 or -1 (logged; counts as a crashed VM in the verdict). */
int sched_add(const struct handoff_vm *config);

/* Run until every VM has ended. Returns how many crashed or could not be started. */
uint32_t sched_run(void);
