/* SPDX-License-Identifier: MIT */
/* Whose turn it is (contract in turn.h). */
#include "hv/turn.h"

#include "hv/lib/util.h"

void turn_join(struct turns *turns, struct turn *turn)
{
	struct turn **link = &turns->list;

	while (*link)
		link = &(*link)->next;
	*turn = (struct turn){ .start = turns->clock + turns->length };
	*link = turn;
}

void turn_leave(struct turns *turns, struct turn *turn)
{
	struct turn **link = &turns->list;

	while (*link && *link != turn)
		link = &(*link)->next;
	if (*link)
		*link = turn->next;
	turn->is_ready = false;
}

/* Of two that began at the same time, one that has already run ends its turn first. */
static bool goes_before(const struct turn *a, const struct turn *b)
{
	if (a->start != b->start)
		return a->start < b->start;
	return a->is_begun != b->is_begun ? a->is_begun : a->ended < b->ended;
}

struct turn *turn_next(struct turns *turns)
{
	uint64_t credit = turns->length / 2, earliest = turns->clock > credit ? turns->clock - credit : 0;
	struct turn *first = NULL;

	for (struct turn *turn = turns->list; turn; turn = turn->next) {
		turn->start = max_u64(turn->start, earliest);
		if (turn->is_ready && (!first || goes_before(turn, first)))
			first = turn;
	}
	if (first)
		turns->clock = max_u64(turns->clock, first->start);
	return first;
}

uint64_t turn_left(const struct turns *turns, const struct turn *turn)
{
	return turns->length - turn->spent;
}

void turn_charge(struct turns *turns, struct turn *turn, uint64_t ticks)
{
	turn->spent += ticks;
	turn->is_begun = true;
	if (turn->spent < turns->length)
		return;
	turn->start += turn->spent - turn->spent % turns->length;
	turn->spent %= turns->length;
	turn->is_begun = false;
	turn->ended = ++turns->ended;
}
