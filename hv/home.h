/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The home of a vCPU: the processor of the host on which it takes turns. The home of its VM is that of its first vCPU:
 * there the VM is started and ended, and its devices' timers and the work that they put off run.
 *
 * Only its home can give a vCPU away, between two turns; the next home finds it by the look that is posted there, and
 * takes it in before anything else. One that waits for its turn is given to a processor that has nothing to do, if the
 * VM's cpuset allows that. Who goes idle while such ones wait elsewhere interrupts their homes, so a processor that they
 * may use is idle only as long as that takes; a turn at most where it has just been idle too briefly for that. So the vCPUs of a VM spread over processors while those have room, and what
 * they share is locked from then on (spread.h). When the VM ends they come home, for only there it is taken apart.
 *
 * A VM with a cap stays together, for its allowance is one, and so does a VM whose restores are tested.
 */
#include <stdbool.h>
#include <stdint.h>

struct handoff_vm;
struct limb;
struct party;
struct processor;
struct slot;

void homes_init(void);		/* all processors that are on; once, before any VM */

/* For a new VM: of the processors that its cpuset allows, the one with the least weight; NULL: none of them is on. */
struct processor *home_choose(const struct handoff_vm *config);

/* All vCPUs of the VM live on this processor, its home. */
bool home_is_whole(const struct slot *slot);
bool home_is_of_vm(const struct slot *slot);	/* this processor is the home of its first vCPU */

/*
 * Called by the home, this processor, in no turn of the vCPU: it is `to`'s when this returns, do not touch it. All of
 * them, from the first on: the VM does not run, or stays together.
 */
void home_give(struct party *party, struct processor *to);
void home_give_all(struct slot *slot, struct processor *to);

/*
 * The VM does not run: its vCPUs come to its home. Here: those that live elsewhere are looked at, by their own homes.
 * Elsewhere: all that live here go there, and the answer is false.
 */
bool home_gather(struct slot *slot);

/*
 * False: it lives elsewhere by now, and the look has been posted there. One that was given to this processor
 * is taken in.
 */
bool home_is_here(struct party *party);

/* When the scheduler has chosen who runs: those that wait go where nobody wants the processor. */
void home_offer(const struct party *running);

/* Before and after this processor halts because nobody wants it. */
void home_idle_begin(void);
void home_idle_end(void);

void home_enter(struct slot *slot);	/* it is new, and all of it lives here */
void home_leave(struct slot *slot);	/* it is whole, and was given up */
void homes_wake(void);		/* every other processor goes once round its scheduler's loop */
