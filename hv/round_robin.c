/* SPDX-License-Identifier: MIT */
/*
 * Round robin: one turn each, in a circle (contract in turn.h). Who wakes goes behind all others. There are no weights,
 * and nobody is in debt: one that is not ready but uses time all the same, by its timers, pays with the turn that comes
 * next for it, not with several.
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
	turn->ended = ++turns->ended;
	return true;
}

static uint64_t tick(const struct turns *turns, const struct turn *turn)
{
	return turns->length - turn->spent;
}

const struct sched_policy sched_round_robin = {
	.name = "round-robin",
	.goes_before = goes_before,
	.pick = pick,
	.put = put,
	.charge = charge,
	.wake = wake,
	.tick = tick,
};
