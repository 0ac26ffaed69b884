/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which vCPU runs on this processor: round robin over everything that is ready, a slice each, and a real
 * halt when nothing is. The scheduler owns the VMs from sched_add to their end.
 */
#include <stdint.h>

struct handoff_vm;

/*
 * Which VM owns the terminal: a name, "none", or "" for the only one there is (of `count`). Before sched_add;
 * a VM that restarts gets the terminal back.
 */
void sched_set_attach(const char *name, uint32_t count);

/* Create and start a VM. 0 or -1 (logged; counts as a crashed VM in the verdict). */
int sched_add(const struct handoff_vm *config);

/* Run until every VM has ended. Returns how many crashed or could not be started. */
uint32_t sched_run(void);
