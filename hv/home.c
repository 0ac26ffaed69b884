/* SPDX-License-Identifier: MIT */
/* Where VMs live (contract in home.h). Words that several processors write are atomic; the rest is the home's. */
#include "hv/home.h"

#include <stddef.h>

#include "arch/x86/virt/load.h"
#include "hv/host.h"
#include "hv/processor.h"
#include "hv/slots.h"
#include "hv/timer.h"
#include "hv/vm.h"

static _Atomic uint32_t idlers;		/* how many processors have is_idle set */
static struct processor *first;		/* of all processors that run VMs; constant after homes_init */

void homes_init(void)
{
	struct processor *processor, **link = &first;

	idlers = 0;
	for (uint32_t i = 0; (processor = host_processor_at(i)); i++) {
		processor->index = i;
		processor->next = NULL;
		processor->vcpus = 0;
		processor->waiting = 0;
		processor->is_idle = false;
		*link = processor;
		link = &processor->next;
	}
}

struct processor *home_choose(void)
{
	struct processor *best = first;

	for (struct processor *other = first->next; other; other = other->next)
		if (other->vcpus < best->vcpus)
			best = other;
	return best;
}

/* ---- A VM moves ---- */

static void give_vcpus(struct slot *slot, struct processor *to)
{
	for (uint32_t i = 0; i < party_count(slot); i++) {
		party_does(&slot->parties[i], ACTIVITY_PAUSED);
		if (slot->vm && slot->vm->vcpus[i])	/* they go before the rest of a VM that ends */
			vcpu_give(slot->vm->vcpus[i], to);
		slot->parties[i].look.home = to;
	}
}

/*
 * The write of `home` comes last: behind it everything is the other processor's. Its looks go there before, and it
 * posts them to itself again until it sees that write.
 */
void home_give(struct slot *slot, struct processor *to)
{
	struct processor *self = host_processor();
	struct look *look = &slot->parties[0].look;

	turn_bill(&self->queue, self->queue.payer, time_now());
	timer_take_out(&slot->turn, &slot->timers);
	give_vcpus(slot, to);
	turn_leave(&self->queue, &slot->turn);
	self->vcpus -= party_count(slot);
	to->vcpus += party_count(slot);
	slot->moves++;
	slot->home = to;
	look_post(look);
}

static void take_in(struct slot *slot)
{
	struct processor *self = host_processor();

	/* Now, so that no time that belongs to nobody here, from before it came, is charged to it. */
	turn_bill(&self->queue, self->queue.payer, time_now());
	turn_join_again(&self->queue.vms, &slot->turn);
	timer_put_in(&slot->timers);
	for (uint32_t i = 0; i < party_count(slot); i++)
		look_post(&slot->parties[i].look);
}

bool home_is_here(struct slot *slot, uint32_t party)
{
	struct processor *self = host_processor();

	if (slot->home != self) {
		look_post(&slot->parties[party].look);
		return false;
	}
	if (slot->turn.in != &self->queue.vms)
		take_in(slot);
	return true;
}

void home_leave(const struct slot *slot)
{
	host_processor()->vcpus -= party_count(slot);
}

/* ---- Who has nothing to do ---- */

static bool claim(struct processor *idler)
{
	if (!idler->is_idle || !atomic_exchange(&idler->is_idle, false))
		return false;
	idlers--;
	return true;
}

static struct processor *claim_idler(void)
{
	for (struct processor *processor = first; processor; processor = processor->next)
		if (claim(processor))
			return processor;
	return NULL;
}

/* One that wants a processor, and has to wait for it here. */
static struct slot *waiter(const struct slot *running)
{
	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++)
		if (slot != running && slot->home == host_processor() && slot->config && slot->turn.is_ready)
			return slot;
	return NULL;
}

void home_offer(const struct slot *running)
{
	struct processor *self = host_processor(), *idler;
	const uint32_t ready = self->queue.vms.ready;

	self->waiting = ready ? ready - 1 : 0;
	while (self->waiting && idlers && (idler = claim_idler())) {
		home_give(waiter(running), idler);
		self->waiting--;
	}
}

/* The flag first, then the look at the others: one that chooses meanwhile sees the flag, or is interrupted. */
void home_idle_begin(void)
{
	struct processor *self = host_processor();

	self->waiting = 0;		/* nobody was chosen, so nobody waits */
	idlers++;
	self->is_idle = true;
	for (struct processor *other = first; other; other = other->next)
		if (other->waiting)
			host_kick(other, KICK_WAKE);
}

void home_idle_end(void)
{
	(void)claim(host_processor());
}

void homes_wake(void)
{
	for (struct processor *other = first; other; other = other->next)
		if (other != host_processor())
			host_kick(other, KICK_WAKE);
}
