/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Something has changed about a vCPU, or about its VM as a whole, on which it depends whether it wants a
 * processor: it woke, was parked, ended, has work, was asked something while it slept. Whoever changes that
 * posts a look, and the scheduler of the processor on which the vCPU takes turns looks before it decides who
 * runs next. So it need not ask everybody each time.
 *
 * Any processor may post, from any exit, device or timer, more often than needed, and also when nothing has
 * changed after all. Looks wait on a list of their processor: others push, that one alone takes. Who looks
 * takes the look off the list first and reads what has changed behind that, so a change that comes meanwhile
 * is looked at again.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct processor;

struct look {
	struct look   *next;
	_Atomic(struct processor *) home;	/* on which the vCPU takes turns */
	_Atomic bool   is_posted;
	uint64_t       since;		/* when another processor posted it, by the host's clock; 0: its home did */
};

typedef _Atomic(struct look *) look_list;

/*
 * The other processor is interrupted, and leaves its guest or its idling. NULL: the VM is in no scheduler's
 * hands yet.
 */
void look_post(struct look *look);

/* The same for the end of a VM, which waits for no debt: if the look has been put off, its home makes it come back now. */
void look_post_end(struct look *look);

bool look_is_here(const struct look *look);	/* its home is this processor */

/* The next one of this processor's own list, taken off it, and its `since`; NULL: none is left. */
struct look *look_take(look_list *list, uint64_t *since);

/*
 * One that was taken waits, on this processor, until looks_resume: then it is looked at as if its home had posted it. Until
 * then it counts as posted, so whoever posts it interrupts nobody. False: it has been posted again meanwhile.
 */
bool look_put_off(struct look *look);
void looks_resume(void);
void look_take_back(struct look *look);		/* if it waits so: it does no longer, and counts as not posted */
