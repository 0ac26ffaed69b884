/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What one processor of the host owns, in words that know no x86: its half of the scheduler and its timers.
 * Only that processor writes its block once it runs, but for `looks`, `resumes`, and the last few, which are atomic. Others read two
 * atomic fields of `watch` as well, and in a panic, when it has stopped, `locks`. So nothing in it needs a lock. host_processor
 * (hv/host.h) finds it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"
#include "hv/lock.h"
#include "hv/look.h"
#include "hv/timer.h"
#include "hv/turn.h"

struct party;
struct slot;

/* watch.h */
struct watch {
	struct timer      timer;
	struct processor *other;	/* whom it watches */
	uint32_t          seen, missed;	/* that one's beats, and for how many of ours they have not changed */
	uint32_t          noted[HANDOFF_CPUSET_MAX];	/* everybody's beats, from when that one was asked first */
	_Atomic uint32_t  beats;	/* this one's; others read them */
	_Atomic bool      is_on;	/* likewise: it runs the scheduler */
};

struct processor {
	struct run_queue  queue;	/* who takes turns here, and who pays now */
	struct turn      *order[2 * HANDOFF_VMS_MAX];	/* queue.vms.order */
	struct party     *running;	/* whose turn it was last; NULL: nobody's */
	struct look      *put_off;	/* looks that wait until `resume` fires, or nobody wants the processor (look_put_off) */
	struct timer      resume;
	_Atomic bool      resumes;	/* they come back in the next round: one of them may be of a VM that has ended */
	look_list         looks;	/* at whom the scheduler has to look before it decides; others post here (look.h) */
	struct timer_list timers;	/* armed here, and fired here */
	struct timer      turn_end;	/* ends the turn of a vCPU where virtualization has no timer for it */
	struct watch      watch;	/* is another processor getting on? */
	struct locks_held locks;
	uint64_t          may_balance;	/* before this time it gives nobody away while all processors are busy (home.c) */
	uint64_t          may_call;	/* before this time it interrupts nobody to be given something to do (home.c) */
	bool              only_looks;	/* no guest's memory may be populated now: gpm.h */
	uint64_t          used[HANDOFF_VMS_MAX];	/* queue.used */

	/* For all processors: where it stands, which is constant, who lives here, and who might come (home.c). */
	uint32_t          index;	/* host_processor_at */
	struct processor *next;		/* the one with the next index; NULL: none */
	_Atomic uint32_t  weight;	/* of the VMs whose vCPUs live here: of each vCPU its part */
	_Atomic uint32_t  waiting;	/* VMs, and vCPUs of the VM that has it, that want this processor while another one has it: */
	_Atomic(const struct slot *) chosen;	/* this one, if any wait; */
	_Atomic bool      chosen_stays;	/* its vCPUs go nowhere without the others */
	_Atomic uint32_t  load;		/* the weights of those that want this processor now, the one that has it included */
	_Atomic bool      is_idle;	/* nobody wants it, and nobody has been sent here yet */
};
