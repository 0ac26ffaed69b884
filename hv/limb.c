/* SPDX-License-Identifier: MIT */
/* The part of a VM that lives on one processor (contract in limb.h). */
#include "hv/limb.h"

#include "hv/lib/util.h"
#include "hv/processor.h"

/* ---- What it gets, and how busy it makes this processor ---- */

/* What it makes this processor busier by. Nothing while none of its vCPUs wants it, though work of the VM may. */
static void count(struct limb *limb)
{
	uint32_t load = limb->turn.is_ready && limb->vcpus.ready ? limb->turn.weight : 0;

	if (load == limb->load)
		return;
	limb->processor->load += load - limb->load;
	limb->load = load;
}

/* Tells the other limbs what this one has used while somebody waited here. */
static void tell(struct limb *limb)
{
	const uint64_t ticks = limb->turn.used - limb->told;

	if (!ticks)
		return;
	limb->told += ticks;
	if (limb->turn.in->ready < 2)
		return;
	limb->slot->wanted += ticks;
}

/*
 * It slept, and pays for what the others used without it: else two vCPUs on two processors that compute by turns would get
 * a half of each, where one that computes all the time gets a half of one. It stands at most two turns ahead then.
 */
__attribute__((noinline)) static void pay(struct limb *limb)
{
	struct turn *turn = &limb->turn;
	const int64_t weight = limb->slot->config->weight, most = 2 * (int64_t)turn->in->length * WEIGHT_DEFAULT / weight;
	const uint64_t wanted = limb->slot->wanted;	/* once: other limbs add to it */
	const int64_t lead = turn_lead(turn), owed = (int64_t)(wanted - limb->paid);

	limb->paid = wanted;
	if (lead < most)
		turn_stand(turn, min_i64(lead + owed * WEIGHT_DEFAULT / weight, most));
}

/* It tells from now on, and pays. */
static void begin_apart(struct limb *limb)
{
	limb->told = limb->turn.used;
	limb->paid = limb->slot->wanted;
}

/* While it was ready its turns moved on by its part of the weight: that has paid for what the others used. */
static void begin_to_sleep(struct limb *limb)
{
	tell(limb);
	limb->paid = limb->slot->wanted;
}

/*
 * How many of its vCPUs want a processor elsewhere: all of them keep that in one word, so nobody goes through the
 * processors. A limb that is ready only for the VM's work and timers counts as if one vCPU were.
 */
void limb_weigh(struct limb *limb)
{
	const uint32_t weight = limb->slot->config->weight, here = max_u32(1, limb->vcpus.ready);
	const uint32_t elsewhere = limb->slot->ready - limb->vcpus.ready;

	tell(limb);
	limb->turn.weight = elsewhere ? max_u32(1, weight * here / (here + elsewhere)) : weight;
	count(limb);
}

/* ---- Who is ready ---- */

void limb_set_ready(struct limb *limb, struct party *party, bool is_ready)
{
	if (party->turn.is_ready == is_ready)
		return;
	turn_set_ready(&party->turn, is_ready);
	limb->slot->ready += is_ready ? 1U : -1U;
	count(limb);
}

__attribute__((always_inline)) inline void limb_want(struct limb *limb, bool wants)
{
	if (limb->turn.is_ready == wants)
		return;
	if (!limb_is_whole(limb)) {
		if (!wants)
			begin_to_sleep(limb);
		else if (limb->paid != limb->slot->wanted)
			pay(limb);
	}
	turn_set_ready(&limb->turn, wants);
	count(limb);
}

void limb_stop(struct limb *limb)
{
	struct party *parties = limb->slot->parties;

	for (uint32_t i = 0; i < limb->slot->vcpus; i++)
		if (limb_has(limb, &parties[i]))
			limb_set_ready(limb, &parties[i], false);
}

/* ---- Who lives here ---- */

/* Nobody of an earlier life is ready any more, so all of its order is NULL. */
static void begin(struct limb *limb)
{
	const struct slot *slot = limb->slot;
	struct turns *vms = &limb->processor->queue.vms;

	turns_init(&limb->vcpus, vms->policy, vms->length, limb->order, slot->vcpus);
	if (limb->turn.in)
		return;
	limb->turn.place = (uint32_t)(slot - slots);
	limb->turn.weight = slot->config->weight;
	turn_join_again(vms, &limb->turn);
	begin_apart(limb);
}

void limb_join(struct limb *limb, struct party *party)
{
	if (!limb->turn.in) {
		begin(limb);
		turn_stand(&limb->turn, party->lead);
	}
	party->turn.place = (uint32_t)(party - limb->slot->parties);
	party->turn.weight = WEIGHT_DEFAULT;
	turn_join_again(&limb->vcpus, &party->turn);
	party->turn.vm = &limb->turn;
	limb_weigh(limb);
}

void limb_leave(struct limb *limb, struct party *party)
{
	struct run_queue *queue = &limb->processor->queue;

	if (limb_is_whole(limb))
		begin_apart(limb);
	limb_set_ready(limb, party, false);
	turn_leave(queue, &party->turn);
	if (!limb->vcpus.count)
		turn_leave(queue, &limb->turn);
	else
		limb_weigh(limb);
}

void limb_start(struct limb *limb)
{
	struct slot *slot = limb->slot;

	begin(limb);
	slot->turn.vm = &limb->turn;
	for (uint32_t i = 0; i < slot->vcpus; i++)
		limb_join(limb, &slot->parties[i]);
}

void limb_end(struct limb *limb)
{
	turn_leave(&limb->processor->queue, &limb->turn);
}
