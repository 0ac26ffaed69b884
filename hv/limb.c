/* SPDX-License-Identifier: MIT */
/* The part of a VM that lives on one processor (contract in limb.h). */
#include "hv/limb.h"

#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/processor.h"
#include "hv/slot.h"

/* A limb without a vCPU, at the home of a VM that works for one elsewhere, counts as one. */
static void divide_weight(struct limb *limb)
{
	const struct slot *slot = limb->slot;

	limb->turn.weight = max_u32(1, slot->config->weight * max_u32(1, limb->vcpus.count) / slot->vcpus);
}

static void begin(struct limb *limb)
{
	const struct slot *slot = limb->slot;
	struct turns *vms = &host_processor()->queue.vms;

	host_processor()->ready -= limb->vcpus.ready;	/* of a VM that has ended some are left */
	memset(limb->order, 0, 2 * slot->vcpus * sizeof(limb->order[0]));
	turns_init(&limb->vcpus, vms->policy, vms->length, limb->order, slot->vcpus);
	if (limb->turn.in)
		return;
	limb->turn.place = (uint32_t)(slot - slots);
	limb->turn.weight = slot->config->weight;
	turn_join_again(vms, &limb->turn);
}

void limb_join(struct limb *limb, struct party *party)
{
	if (!limb->turn.in)
		begin(limb);
	party->turn.place = (uint32_t)(party - limb->slot->parties);
	party->turn.weight = WEIGHT_DEFAULT;
	turn_join_again(&limb->vcpus, &party->turn);
	party->turn.vm = &limb->turn;
	divide_weight(limb);
}

void limb_set_ready(struct limb *limb, struct party *party, bool is_ready)
{
	const uint32_t before = limb->vcpus.ready;

	turn_set_ready(&party->turn, is_ready);
	host_processor()->ready += limb->vcpus.ready - before;
}

void limb_leave(struct limb *limb, struct party *party)
{
	struct run_queue *queue = &host_processor()->queue;

	limb_set_ready(limb, party, false);
	turn_leave(queue, &party->turn);
	divide_weight(limb);
	if (!limb->vcpus.count)
		turn_leave(queue, &limb->turn);
}

void limb_start(struct limb *limb)
{
	struct slot *slot = limb->slot;

	begin(limb);
	slot->turn.vm = &limb->turn;
	for (uint32_t i = 0; i < slot->vcpus; i++)
		limb_join(limb, &slot->parties[i]);
}

void limb_stop(struct limb *limb)
{
	struct party *parties = limb->slot->parties;

	for (uint32_t i = 0; i < limb->slot->vcpus; i++)
		if (parties[i].look.home == host_processor() && parties[i].turn.in == &limb->vcpus)
			limb_set_ready(limb, &parties[i], false);
}

void limb_end(struct limb *limb)
{
	host_processor()->ready -= limb->vcpus.ready;
	turn_leave(&host_processor()->queue, &limb->turn);
}
