/* SPDX-License-Identifier: MIT */
/*
 * Round robin: one turn each, in a circle (contract in turn.h). Who wakes goes behind all others. There are no weights.
 *
 * One that is not ready, or waits for its turn, may use time all the same, by its timers. When they have used
 * up a whole turn it is in debt, until all have had theirs that waited for one by then.
 */
#include "hv/turn.h"

static bool goes_before(const struct turn *a, const struct turn *b)
{
	return a->ended < b->ended;
}

static struct turn *pick(struct turns *turns)
{
	return turns_first(turns);
}

/* What is left of its turn stays so: who halts just before the end of a turn does not begin a new one. */
static void wake(struct turns *turns, struct turn *turn)
{
	turn->ended = ++turns->ended;
}

static void put(struct turns *turns, struct turn *turn)
{
	turn->spent = 0;
	wake(turns, turn);
}

static bool charge(struct turns *turns, struct turn *turn, uint64_t ticks)
{
	turn->spent += ticks;
	if (turn->spent < turns->length)
		return false;
	turn->spent %= turns->length;
	turn->ended = turn->used_up = ++turns->ended;
	return true;
}

static uint64_t tick(const struct turns *turns, const struct turn *turn)
{
	return turns->length - turn->spent;
}

static uint64_t debt(const struct turns *turns, const struct turn *turn)
{
	const struct turn *first = turns_first(turns);

	return first && first->ended < turn->used_up ? tick(turns, first) : 0;
}

const struct sched_policy sched_round_robin = {
	.name = "round-robin",
	.goes_before = goes_before,
	.pick = pick,
	.put = put,
	.charge = charge,
	.wake = wake,
	.tick = tick,
	.debt = debt,
};
