/* SPDX-License-Identifier: MIT */
/* Who takes turns, and who pays (contract in turn.h). */
#include "hv/turn.h"

#include "hv/lib/util.h"

void turns_init(struct turns *turns, const struct sched_policy *policy, uint64_t length, struct turn **order, uint32_t places)
{
	*turns = (struct turns){ .policy = policy, .length = length, .order = order, .places = places };
}

/* ---- The tournament ---- */

static struct turn *winner(const struct sched_policy *policy, struct turn *one, struct turn *other)
{
	if (!one || !other)
		return one ? one : other;
	return policy->goes_before(other, one) ? other : one;
}

/* Play all matches again that this one may win or lose now. */
static void replay(struct turn *turn)
{
	struct turns *turns = turn->in;
	struct turn **order = turns->order;
	uint32_t match = turns->places + turn->place;

	order[match] = turn->is_ready ? turn : NULL;
	for (match /= 2; match; match /= 2)
		order[match] = winner(turns->policy, order[2 * match], order[2 * match + 1]);
}

/* ---- Those who take turns ---- */

void turn_join(struct turns *turns, struct turn *turn, uint32_t place, uint32_t weight)
{
	*turn = (struct turn){ .in = turns, .place = place, .weight = weight };
	turns->policy->put(turns, turn);
	turns->count++;
}

void turn_join_again(struct turns *turns, struct turn *turn)
{
	const uint64_t used = turn->used;

	turn_join(turns, turn, turn->place, turn->weight);
	turn->used = used;
}

void turn_leave(struct run_queue *queue, struct turn *turn)
{
	turn_set_ready(turn, false);
	turn->in->count--;
	turn->in = NULL;
	if (queue->payer && (queue->payer == turn || queue->payer->vm == turn))
		queue->payer = NULL;
}

void turn_set_ready(struct turn *turn, bool is_ready)
{
	const struct sched_policy *policy = turn->in->policy;

	if (turn->is_ready == is_ready)
		return;
	if (is_ready)
		policy->wake(turn->in, turn);
	else if (policy->sleep)
		policy->sleep(turn->in, turn);
	turn->is_ready = is_ready;
	turn->in->ready += is_ready ? 1U : -1U;
	replay(turn);
}

void turn_put(struct turn *turn)
{
	turn->in->policy->put(turn->in, turn);
	replay(turn);
}

int64_t turn_lead(const struct turn *turn)
{
	const struct sched_policy *policy = turn->in->policy;

	return policy->lead ? policy->lead(turn->in, turn) : 0;
}

void turn_stand(struct turn *turn, int64_t lead)
{
	const struct sched_policy *policy = turn->in->policy;

	if (policy->stand)
		policy->stand(turn->in, turn, lead);
}

/* ---- Who pays ---- */

static void charge(struct turn *turn, uint64_t ticks)
{
	turn->used += ticks;
	if (turn->in && turn->in->policy->charge(turn->in, turn, ticks) && turn->is_ready)
		replay(turn);
}

void turn_bill(struct run_queue *queue, struct turn *payer, uint64_t now)
{
	uint64_t ticks = excess_u64(now, queue->mark);

	for (struct turn *turn = queue->payer; turn; turn = turn->vm) {
		charge(turn, ticks);
		if (!turn->vm && queue->used)
			queue->used[turn->place] += ticks;
	}
	if (!queue->payer) {
		queue->idle += ticks;
		if (queue->vms.policy->idle)
			queue->vms.policy->idle(&queue->vms, ticks);
	}
	queue->payer = payer;
	queue->mark += ticks;
}
