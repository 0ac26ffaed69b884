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

void look_post(struct look *look)
{
	struct processor *home;

	if (!look || atomic_exchange(&look->is_posted, true))
		return;
	home = look->home;
	push(&home->looks, look);
	if (home != host_processor())
		host_kick(home, KICK_WAKE);
}

/* Only one processor takes, so the first one cannot leave the list and come back between the two lines of the loop. */
struct look *look_take(look_list *list)
{
	struct look *first = *list;

	while (first && !atomic_compare_exchange_weak(list, &first, first->next))
		continue;
	if (first)
		first->is_posted = false;
	return first;
}
