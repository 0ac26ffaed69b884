/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Something has changed about a vCPU, or about its VM as a whole, on which it depends whether it wants the processor: it
 * woke, was parked, ended, has work. Whoever changes that posts a look, and the scheduler looks before it decides who
 * runs next. So it need not ask everybody each time.
 *
 * It is safe to post from any exit, device or timer, more often than needed, and also when nothing has changed after all.
 */
#include <stdbool.h>
#include <stddef.h>

struct look {
	struct look  *next;
	struct look **list;	/* of the processor on which the vCPU takes turns */
	bool          is_posted;
};

/* NULL: nobody would look, because the VM is not in the scheduler's hands yet. */
static inline void look_post(struct look *look)
{
	if (!look || look->is_posted)
		return;
	look->is_posted = true;
	look->next = *look->list;
	*look->list = look;
}

/* The next one of a list, taken off it; NULL: none is left. */
static inline struct look *look_take(struct look **list)
{
	struct look *look = *list;

	if (look) {
		*list = look->next;
		look->is_posted = false;
	}
	return look;
}
