/* SPDX-License-Identifier: MIT */
/*
 * Looks on their way to the processor that looks (contract in look.h). All atomics here are sequentially
 * consistent: whoever posts has written what changed before it finds is_posted set, and whoever looks clears
 * is_posted before it reads that.
 */
#include "hv/look.h"

#include <stddef.h>

#include "hv/host.h"
#include "hv/processor.h"

static void push(look_list *list, struct look *look)
{
	struct look *first = *list;

	do
		look->next = first;
	while (!atomic_compare_exchange_weak(list, &first, look));
}

bool look_is_here(const struct look *look)
{
	return look->home == host_processor();
}

/* False: it is posted already. */
static bool post(struct look *look)
{
	struct processor *home;
	bool is_here;

	if (!look || atomic_exchange(&look->is_posted, true))
		return false;
	home = look->home;
	is_here = home == host_processor();
	look->since = is_here ? 0 : time_now();
	push(&home->looks, look);
	if (!is_here)
		host_kick(home, KICK_WAKE);
	return true;
}

void look_post(struct look *look)
{
	(void)post(look);
}

/*
 * Only its home may touch the list in which it may wait. If it is on its way to another home meanwhile, that one has
 * yet to look at it.
 */
void look_post_end(struct look *look)
{
	struct processor *home;

	if (!look || post(look))
		return;
	home = look->home;
	home->resumes = true;
	if (home != host_processor())
		host_kick(home, KICK_WAKE);
}

bool look_put_off(struct look *look)
{
	struct processor *self = host_processor();

	if (atomic_exchange(&look->is_posted, true))
		return false;
	look->next = self->put_off;
	self->put_off = look;
	return true;
}

void looks_resume(void)
{
	struct processor *self = host_processor();

	self->resumes = false;		/* first: an end that is told of behind this is one for the next round */
	while (self->put_off) {
		struct look *look = self->put_off;

		self->put_off = look->next;
		look->since = 0;
		push(&self->looks, look);
	}
}

void look_take_back(struct look *look)
{
	struct look **link = &host_processor()->put_off;

	while (*link && *link != look)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = look->next;
	look->is_posted = false;
}

/* Only one processor takes, so the first one cannot leave the list and come back between the two lines of the loop. */
struct look *look_take(look_list *list, uint64_t *since)
{
	struct look *first = *list;

	while (first && !atomic_compare_exchange_weak(list, &first, first->next))
		continue;
	if (!first)
		return NULL;
	*since = first->since;		/* before it can be posted again */
	first->is_posted = false;
	return first;
}
