/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * VMs from their first start to their last end, restarts (restart.h) included; but for slots_add, slots_crashed and
 * slots_kept of use to the scheduler only. A slot keeps what outlives a restart: whose turn it is, what memory was
 * promised, how long to wait.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/activity.h"
#include "hv/slot.h"

void slots_init(const char *attach, uint32_t count);	/* sched_init */
/*
 * Create a VM; it starts in its own turns, where home_choose says. 0 or -1 (logged; counts as a crashed VM in the
 * verdict). There are no more VMs than slots.
 */
int slots_add(const struct handoff_vm *config);
bool slots_in_use(void);				/* a VM is left, or one that waits for its next start */
uint32_t slots_crashed(void);				/* VMs that crashed or could not be started, for good */
uint64_t slots_kept(void);				/* bytes that slots_add took and nobody gives back: parties and limbs */

void party_does(struct party *party, enum activity activity);	/* from the moment on up to which time has been charged */

void party_say_where(struct party *party);	/* where its guest is: a line of the log, in a turn of the vCPU */

/*
 * Do a piece of the work on the VM as a whole: its restart, its start, its dump, its end. To be called at its home, when
 * all its vCPUs are there (home_is_whole), while the VM does not run.
 */
void slot_work(struct slot *slot);
