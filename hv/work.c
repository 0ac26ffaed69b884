/* SPDX-License-Identifier: MIT */
/* A queue of things to do for one VM (contract in work.h). */
#include "hv/work.h"

#include <stddef.h>

static void append(struct work_list *list, struct work *work)
{
	if (work->is_queued)
		return;
	work->is_queued = true;
	work->next = NULL;
	if (!list->first)
		list->first = work;
	else
		list->last->next = work;
	list->last = work;
}

void work_add(struct work_list *list, struct work *work)
{
	append(list, work);
	if (!list->home_knows && list->wake)
		list->wake(list->ctx);
	list->home_knows = true;
}

void work_add_quietly(struct work_list *list, struct work *work)
{
	append(list, work);
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
	list->home_knows = true;
	if (atomic_exchange(&list->is_asked, false))	/* first: word that is left while it answers makes it answer again */
		list->answer(list->ctx);
	else
		run_first(list);
	list->home_knows = list->first;		/* what is left makes it look again */
}
