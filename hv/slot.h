/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the scheduler keeps of a VM, over its restarts: data alone, and who may touch what of it. A slot is the VM's place, a
 * party one of its vCPUs, a limb those of them that live on one processor. slots.h, home.h and limb.h say what is done with
 * them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/account.h"
#include "hv/activity.h"
#include "hv/cap.h"
#include "hv/look.h"
#include "hv/processor.h"
#include "hv/restart.h"
#include "hv/timer.h"
#include "hv/turn.h"

struct vm;

/*
 * A vCPU of the VM in the slot, as one that takes turns, on the processor that is its home (home.h). The first party of a
 * slot also stands for the VM as a whole: its start, its end, what its devices put off, and their timers.
 */
struct party {
	struct turn  turn;	/* among those of its VM that live where it lives */
	struct slot *slot;
	struct look  look;	/* look.home is its home */
	struct activities activities;
	struct timer_list timers;	/* what was armed, while it is on its way to its next home */
	uint32_t     load;		/* with so much it is counted in that of its next home, while it is on its way there */
	int64_t      lead;		/* of the limb that it left, for the one that it begins in its next home (turn.h) */
	_Atomic bool is_asked_where;	/* by any processor: the log is to say where the guest is, in a turn of this vCPU */
};

/*
 * The part of a VM that lives on one processor. Only that processor touches it. Others read turn.is_ready, vcpus.ready and
 * vcpus.count, and turn.used when the VM has been given up.
 */
struct limb {
	struct slot *slot;
	struct processor *processor;	/* where it is: constant */
	struct turn  turn;		/* among all VMs there; kept over restarts, so that a restart gains nothing */
	struct turns vcpus;		/* its parties, which take turns with each other */
	struct turn **order;		/* vcpus.order */
	uint32_t     load;		/* with so much of its weight it is counted in `load` of its processor */
	/* Of a VM that lives on several processors, in ticks for which others had to wait: */
	uint64_t     told;		/* up to this value of turn.used it has added its own to `wanted` of the slot */
	uint64_t     paid;		/* it has paid for those ticks up to this value of `wanted` */
	bool         is_live, is_limited;	/* as its parties' activities know it */
};

struct slot {
	/* Any processor reads config and name (also behind the VM's end: others waited for it). */
	const struct handoff_vm *config;	/* NULL: no VM has it, or none any more */
	const char     *name;
	struct vm      *vm;			/* NULL: waits for its next start, or does not start again */
	struct account  account;		/* its memory stays promised to it while it waits */
	bool            was_started;
	bool            is_due;			/* the wait is over, or the slot is to be given up */
	uint32_t        reported;		/* its vCPUs of which the log has said what they did in all */
	struct restarts restarts;
	uint32_t        wait;			/* of a VM that ended: RESTART_NEVER, or seconds until its next start */
	struct turn     turn;			/* pays for the VM as a whole, through the limb at its home; takes none itself */
	struct cap      cap;			/* of a VM that stays together */
	struct timer    allowed;		/* the cap lets it run again */
	struct timer    again;			/* ends that wait */
	struct timer    silence;		/* then the log says where the VM is, if it has printed nothing */
	_Atomic uint32_t moves;			/* of vCPUs from one processor to another */
	_Atomic uint32_t ready;			/* how many parties are, on all processors together */
	_Atomic uint64_t wanted;		/* ticks that its limbs used while others had to wait (limb.c) */
	uint32_t        vcpus;			/* how many parties there are: at least one */
	/* Never freed, for looks at them may be under way when the VM has gone. */
	struct party   *parties;		/* of each vCPU */
	struct limb    *limbs;			/* by the index of the processor */
};

extern struct slot *slots;			/* HANDOFF_VMS_MAX of them */

/* Its limb there, also where none of its vCPUs lives. */
static inline struct limb *limb_at(const struct slot *slot, const struct processor *processor)
{
	return &slot->limbs[processor->index];
}
