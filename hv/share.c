/* SPDX-License-Identifier: MIT */
/*
 * Proportional share: who wants the processor all the time gets it in proportion to its weight (contract in turn.h).
 *
 * `start` says where on a common clock a turn began. Of those that are ready the one whose turn began earliest goes
 * first, and of several with the same start the one that has waited longest. When its turn is used up its start moves
 * on by one stride, which is the shorter the greater its weight is. So in the same stretch of the common clock one of
 * three times the weight has three times as many turns.
 *
 * The common clock is the start of the latest turn, or of the next one if no waiting one began earlier. One that slept
 * finds its start behind the clock, and so goes first when it wakes. Its start is then at most half a stride behind:
 * the time for which it did not want the processor is not owed to it, and with two turns in a row it would make the
 * others wait too long. But it loses no more than what others used while it slept: beside one of little weight, whose
 * strides are long, a short sleep would else cost many turns. While nobody wants the processor the common clock goes on
 * with the time (idle): to use more than one's share of such time takes nothing from others, and it is owed to nobody. One that
 * is charged while it sleeps, for an interrupt of its own, stands where it would if it woke: long sleep is no credit for that.
 */
#include "hv/lib/util.h"
#include "hv/turn.h"

/* How far the common clock goes on with each turn of it. */
static uint64_t stride_of(const struct turns *turns, const struct turn *turn)
{
	return turns->length * WEIGHT_DEFAULT / turn->weight;
}

/* Of two turns that began at the same time, one that has already run goes first, until it is used up. */
static bool goes_before(const struct turn *a, const struct turn *b)
{
	if (a->start != b->start)
		return a->start < b->start;
	return a->is_begun != b->is_begun ? a->is_begun : a->ended < b->ended;
}

static void catch_up(struct turns *turns)
{
	const struct turn *first = turns_first(turns);

	if (first)
		turns->clock = max_u64(turns->clock, first->start);
}

static struct turn *pick(struct turns *turns)
{
	catch_up(turns);
	return turns_first(turns);
}

static void put(struct turns *turns, struct turn *turn)
{
	turn->start = max_u64(turn->start, turns->clock) + stride_of(turns, turn);
	turn->spent = 0;
	turn->is_begun = false;
	turn->ended = ++turns->ended;
}

/* Those that were ready before may have moved the clock on. */
static void wake(struct turns *turns, struct turn *turn)
{
	const uint64_t credit = stride_of(turns, turn) / 2, missed = turns->served - turn->slept;

	catch_up(turns);
	if (turns->clock > credit)
		turn->start = max_u64(turn->start, min_u64(turns->clock - credit, turn->start + missed));
}

static bool charge(struct turns *turns, struct turn *turn, uint64_t ticks)
{
	bool was_begun = turn->is_begun;

	if (!turn->is_ready)
		wake(turns, turn);	/* what it did not want before is owed to it no more than if it woke */
	turns->served += ticks * WEIGHT_DEFAULT / turn->weight;
	if (!turn->is_ready)
		turn->slept = turns->served;
	turn->spent += ticks;
	turn->is_begun = true;
	if (turn->spent < turns->length)
		return !was_begun;
	turn->start += turn->spent / turns->length * stride_of(turns, turn);
	turn->spent %= turns->length;
	turn->is_begun = false;
	turn->ended = ++turns->ended;
	return true;
}

static void sleep(struct turns *turns, struct turn *turn)
{
	turn->slept = turns->served;
}

static uint64_t tick(const struct turns *turns, const struct turn *turn)
{
	return turns->length - turn->spent;
}

/* In debt is who is ahead of the common clock by more than two turns of its own. */
static uint64_t debt(const struct turns *turns, const struct turn *turn)
{
	const uint64_t stride = stride_of(turns, turn);

	return turn->start > turns->clock + 2 * stride ? (turn->start - turns->clock) / stride * turns->length : 0;
}

/* What it has used of its turn counts, so that one that never stays for a whole one is ahead by that. */
static int64_t lead(const struct turns *turns, const struct turn *turn)
{
	const struct turn *first = turns_first(turns);
	const uint64_t clock = first ? max_u64(turns->clock, first->start) : turns->clock;

	return (int64_t)(turn->start + turn->spent * WEIGHT_DEFAULT / turn->weight - clock);
}

/* However far behind it is put, when it wakes it is behind by half a stride at most. */
static void stand(struct turns *turns, struct turn *turn, int64_t lead)
{
	catch_up(turns);
	turn->start = lead >= 0 ? turns->clock + (uint64_t)lead : excess_u64(turns->clock, -(uint64_t)lead);
	turn->spent = 0;
	turn->is_begun = false;
}

static void idle(struct turns *turns, uint64_t ticks)
{
	turns->clock += ticks;
	turns->served += ticks;
}

const struct sched_policy sched_share = {
	.name = "share",
	.goes_before = goes_before,
	.pick = pick,
	.put = put,
	.charge = charge,
	.wake = wake,
	.sleep = sleep,
	.tick = tick,
	.debt = debt,
	.lead = lead,
	.stand = stand,
	.idle = idle,
};
