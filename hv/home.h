/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The home of a VM: the processor of the host on which all of its vCPUs take turns, and on which its devices,
 * its timers and the work that they put off run. So nothing that belongs to a VM needs a lock: one processor
 * at a time touches it.
 *
 * A VM moves as a whole. Only its home can give it away, between two turns; the next home finds it by the
 * look that is posted there, and takes it in before anything else. A VM that waits for its turn is given to a
 * processor that has nothing to do, if its cpuset allows that. Who goes idle while such VMs wait elsewhere
 * interrupts their homes, so a processor that they may use is idle only as long as that takes.
 */
#include <stdbool.h>
#include <stdint.h>

struct handoff_vm;
struct processor;
struct slot;

void homes_init(void);		/* all processors that are on; once, before any VM */

/* For a new VM: of the processors that its cpuset allows, the one with the fewest vCPUs; NULL: none of them is on. */
struct processor *home_choose(const struct handoff_vm *config);

/*
 * Called by the home, this processor, whose turn is another VM's. The slot may be its `to`'s when this
 * returns: do not touch it.
 */
void home_give(struct slot *slot, struct processor *to);

/*
 * False: it lives elsewhere by now, and the look has been posted there. One that was given to this processor
 * is taken in.
 */
bool home_is_here(struct slot *slot, uint32_t party);

/* When the scheduler has chosen who runs: the VMs that wait go where nobody wants the processor. */
void home_offer(const struct slot *running);

/* Before and after this processor halts because nobody wants it. */
void home_idle_begin(void);
void home_idle_end(void);

void home_leave(const struct slot *slot);	/* it was given up */
void homes_wake(void);		/* every other processor goes once round its scheduler's loop */
