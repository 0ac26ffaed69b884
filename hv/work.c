/* SPDX-License-Identifier: MIT */
/* A queue of things to do for one VM (contract in work.h). */
#include "hv/work.h"

#include <stddef.h>

void work_add(struct work_list *list, struct work *work)
{
	const bool was_empty = !list->first;

	if (work->is_queued)
		return;
	work->is_queued = true;
	work->next = NULL;
	if (was_empty)
		list->first = work;
	else
		list->last->next = work;
	list->last = work;
	/* While the list is being run its runner looks at it again: nobody must be woken. */
	if (was_empty && !list->is_running && list->wake)
		list->wake(list->ctx);
}

static void run_first(struct work_list *list)
{
	struct work *work = list->first;

	if (!work)
		return;
	list->first = work->next;
	work->is_queued = false;
	work->run(work->ctx);
}

void work_run_one(struct work_list *list)
{
	list->is_running = true;
	if (atomic_exchange(&list->is_asked, false))	/* first: word that is left while it answers makes it answer again */
		list->answer(list->ctx);
	else
		run_first(list);
	list->is_running = false;
}
