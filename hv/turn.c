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
	if (turns->payer == turn)
		turns->payer = NULL;
}

/* Of two turns that began at the same time, one that has already run goes first, until it is used up. */
static bool goes_before(const struct turn *a, const struct turn *b)
{
	if (a->start != b->start)
		return a->start < b->start;
	return a->is_begun != b->is_begun ? a->is_begun : a->ended < b->ended;
}

/* The clock may go on to the earliest start of the parties that have been ready since the last time. */
static void advance_clock(struct turns *turns)
{
	uint64_t earliest = UINT64_MAX;

	for (struct turn *turn = turns->list; turn; turn = turn->next) {
		if (turn->is_ready && turn->was_ready)
			earliest = min_u64(earliest, turn->start);
		turn->was_ready = turn->is_ready;
	}
	if (earliest != UINT64_MAX)
		turns->clock = max_u64(turns->clock, earliest);
}

struct turn *turn_next(struct turns *turns)
{
	uint64_t credit = turns->length / 2, earliest;
	struct turn *first = NULL;

	advance_clock(turns);
	earliest = turns->clock > credit ? turns->clock - credit : 0;
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

static void charge(struct turns *turns, struct turn *turn, uint64_t ticks)
{
	turn->used += ticks;
	turn->spent += ticks;
	turn->is_begun = true;
	if (turn->spent < turns->length)
		return;
	turn->start += turn->spent - turn->spent % turns->length;
	turn->spent %= turns->length;
	turn->is_begun = false;
	turn->ended = ++turns->ended;
}

void turn_bill(struct turns *turns, struct turn *payer, uint64_t now)
{
	uint64_t ticks = now > turns->mark ? now - turns->mark : 0;

	if (turns->payer) {
		charge(turns, turns->payer, ticks);
	} else {
		turns->idle += ticks;
		turns->clock += ticks;
	}
	turns->payer = payer;
	turns->mark += ticks;
}

void turn_swap(struct turn *one, struct turn *other)
{
	struct turn old = *one;

	one->start = other->start;
	one->spent = other->spent;
	one->is_begun = other->is_begun;
	one->ended = other->ended;
	other->start = old.start;
	other->spent = old.spent;
	other->is_begun = old.is_begun;
	other->ended = old.ended;
}

uint64_t turn_debt(const struct turns *turns, const struct turn *turn)
{
	return turn->start > turns->clock + 2 * turns->length ? turn->start - turns->clock : 0;
}
