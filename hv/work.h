/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Work that a VM's devices put off. A device does a bounded amount inside an exit; what is left it adds to the list of
 * its VM, and the scheduler runs the list in that VM's own turn at its home (home.h), before a vCPU that lives there enters
 * the guest again. So a guest that asks for much pays for it itself, and nobody else waits.
 *
 * The machine's lock guards the list (spread.h); whether anything is in it may be asked without. Others, who want
 * something of a device, leave word where the device's `answer` looks, and then call work_ask.
 */
#include <stdatomic.h>
#include <stdbool.h>

struct work {
	struct work *next;
	bool         is_queued;
	void       (*run)(void *ctx);	/* does a bounded amount; adds itself again when something is left */
	void        *ctx;
};

struct work_list {
	struct work *first, *last;
	bool         home_knows;	/* that something is in it: it was woken, or runs it now; it looks again until all is done */
	void       (*wake)(void *ctx);	/* the VM's home leaves its run loop, and gives the VM a turn */
	void        *ctx;
	_Atomic bool is_asked;		/* others have left word: `answer` is called in the VM's turn, before other work */
	void       (*answer)(void *ctx);
};

/* To the end, if it is not in the list already; and the VM gets a turn for it. */
void work_add(struct work_list *list, struct work *work);
/* Likewise, but nobody is woken: it is done in the VM's next turn, whatever that comes for, and perhaps never. */
void work_add_quietly(struct work_list *list, struct work *work);
void work_run_one(struct work_list *list);	/* answer, or take the first off the list and run it once */

/* From any processor, behind the word that is left; whoever calls this posts a look at the VM behind it (look.h). */
static inline void work_ask(struct work_list *list) { list->is_asked = true; }

static inline bool work_is_pending(const struct work_list *list)
{
	return __atomic_load_n(&list->first, __ATOMIC_RELAXED) || list->is_asked;
}
