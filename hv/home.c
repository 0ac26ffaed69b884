/* SPDX-License-Identifier: MIT */
/*
 * Where VMs live (contract in home.h). Words that several processors write are atomic; the rest is the home's, and
 * others read some of it.
 */
#include "hv/home.h"

#include <stddef.h>

#include "arch/x86/virt/load.h"
#include "hv/host.h"
#include "hv/lib/bits.h"
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

static bool may_live(const struct handoff_vm *config, struct processor *processor)
{
	return !config->cpuset || config->cpuset & BIT(host_processor_number(processor));
}

struct processor *home_choose(const struct handoff_vm *config)
{
	struct processor *best = NULL;

	for (struct processor *other = first; other; other = other->next)
		if (may_live(config, other) && (!best || other->vcpus < best->vcpus))
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

static struct processor *claim_idler(const struct handoff_vm *config)
{
	for (struct processor *processor = first; processor; processor = processor->next)
		if (may_live(config, processor) && claim(processor))
			return processor;
	return NULL;
}

/* Does it want a processor, and has to wait for it here? */
static bool waits(const struct slot *slot, const struct slot *running)
{
	return slot != running && slot->home == host_processor() && slot->config && slot->turn.is_ready;
}

void home_offer(const struct slot *running)
{
	struct processor *self = host_processor(), *idler;
	const uint32_t ready = self->queue.vms.ready;

	self->chosen = running;
	self->waiting = ready ? ready - 1 : 0;
	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX && self->waiting && idlers; slot++) {
		idler = waits(slot, running) ? claim_idler(slot->config) : NULL;
		if (!idler)
			continue;
		home_give(slot, idler);
		self->waiting--;
	}
}

/*
 * Does one wait there that may use this processor? What is read here may be a moment old: then its home has not yet
 * asked for idlers, and will see this one.
 */
static bool has_for(const struct processor *home, struct processor *self)
{
	if (!home->waiting)
		return false;
	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++) {
		const struct handoff_vm *config = __atomic_load_n(&slot->config, __ATOMIC_RELAXED);

		if (config && slot != home->chosen && slot->home == home &&
		    __atomic_load_n(&slot->turn.is_ready, __ATOMIC_RELAXED) && may_live(config, self))
			return true;
	}
	return false;
}

/* The flag first, then the look at the others: one that chooses meanwhile sees the flag, or is interrupted. */
void home_idle_begin(void)
{
	struct processor *self = host_processor();

	self->waiting = 0;		/* nobody was chosen, so nobody waits */
	idlers++;
	self->is_idle = true;
	for (struct processor *other = first; other; other = other->next)
		if (has_for(other, self))
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
