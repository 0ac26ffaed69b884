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
#include "hv/account.h"
#include "hv/activity.h"
#include "hv/cap.h"
#include "hv/look.h"
#include "hv/restart.h"
#include "hv/timer.h"
#include "hv/turn.h"

struct processor;
struct vm;

/*
 * A vCPU of the VM in the slot, as one that takes turns. The first party of a slot also stands for work on the VM as a
 * whole: its start, its end, what its devices put off.
 */
struct party {
	struct turn  turn;	/* among the vCPUs of its VM */
	struct slot *slot;
	struct look  look;
	struct activities activities;
};

struct slot {
	/* Any processor reads config, name (also behind the VM's end: others waited for it), home and turn.is_ready. */
	const struct handoff_vm *config;	/* NULL: no VM has it, or none any more */
	const char     *name;
	struct vm      *vm;			/* NULL: waits for its next start, or does not start again */
	struct account  account;		/* its memory stays promised to it while it waits */
	bool            was_started;
	bool            is_due;			/* the wait is over, or the slot is to be given up */
	_Atomic bool    is_asked_where;		/* by any processor: slot_say_where is to be called in its turns */
	uint32_t        where_left;		/* vCPUs that have not said yet where they are */
	uint32_t        reported;		/* its vCPUs of which the log has said what they did in all */
	struct restarts restarts;
	uint32_t        wait;			/* of a VM that ended: RESTART_NEVER, or seconds until its next start */
	struct turn     turn;			/* among all VMs; kept over restarts, so that a restart gains nothing */
	struct turns    vcpus;			/* its parties, which take turns with each other */
	struct cap      cap;
	bool            is_live, is_limited;	/* as its parties' activities know it */
	struct timer    allowed;		/* the cap lets it run again */
	struct timer    again;			/* ends that wait */
	struct timer    silence;		/* then the log says where the VM is, if it has printed nothing */
	_Atomic(struct processor *) home;	/* home.h: only that processor writes the slot, but for is_asked_where and the looks */
	struct timer_list timers;		/* what was armed, while it is on its way to its next home */
	uint32_t        moves;
	struct party   *parties;		/* of each vCPU; never freed, for looks at them may be under way when the VM has gone */
	struct turn   **order;			/* vcpus.order */
};

extern struct slot *slots;			/* HANDOFF_VMS_MAX of them */

void slots_init(const char *attach, uint32_t count);	/* sched_init */
/*
 * Create a VM; it starts in its own turns, where home_choose says. 0 or -1 (logged; counts as a crashed VM in the
 * verdict). There are no more VMs than slots.
 */
int slots_add(const struct handoff_vm *config);
bool slots_in_use(void);				/* a VM is left, or one that waits for its next start */
uint32_t slots_crashed(void);				/* VMs that crashed or could not be started, for good */
uint64_t slots_kept(void);				/* bytes that slots_add took and nobody gives back: the parties */

uint32_t party_count(const struct slot *slot);
void party_does(struct party *party, enum activity activity);	/* from the moment on up to which time has been charged */

/* The log is to say where its guest is: a line for each vCPU, one at each call. In turns of the VM, which is alive. */
static inline bool slot_is_asked(const struct slot *slot) { return slot->is_asked_where || slot->where_left; }
void slot_say_where(struct slot *slot);

/*
 * Do a piece of the work on the VM as a whole: its restart, its start, its dump, its end. To be called while
 * the VM does not run.
 */
void slot_work(struct slot *slot);
