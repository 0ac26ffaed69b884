/* SPDX-License-Identifier: MIT */
/*
 * Where vCPUs live (contract in home.h). Words that several processors write are atomic; the rest is the home's, and
 * others read some of it.
 */
#include "hv/home.h"

#include <stddef.h>

#include "arch/x86/virt/load.h"
#include "hv/host.h"
#include "hv/lib/bits.h"
#include "hv/lib/util.h"
#include "hv/limb.h"
#include "hv/processor.h"
#include "hv/slots.h"
#include "hv/spread.h"
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
		processor->weight = processor->load = 0;
		processor->may_balance = 0;
		processor->waiting = 0;
		processor->is_idle = false;
		processor->may_call = 0;
		*link = processor;
		link = &processor->next;
	}
}

static bool may_live(const struct handoff_vm *config, struct processor *processor)
{
	return !config->cpuset || config->cpuset & BIT(host_processor_number(processor));
}

/* Of each of its vCPUs, in the weight of a processor: always the same, whatever the vCPU does. */
static uint32_t part_of(const struct slot *slot)
{
	return max_u32(1, slot->config->weight / slot->vcpus);
}

struct processor *home_choose(const struct handoff_vm *config)
{
	struct processor *best = NULL;

	for (struct processor *other = first; other; other = other->next)
		if (may_live(config, other) && (!best || other->weight < best->weight))
			best = other;
	return best;
}

/* ---- Who lives where ---- */

static struct limb *limb_here(const struct slot *slot) { return limb_at(slot, host_processor()); }

static bool lives_here(const struct party *party) { return limb_has(limb_here(party->slot), party); }

bool home_is_of_vm(const struct slot *slot)
{
	return lives_here(slot->parties);
}

bool home_is_whole(const struct slot *slot)
{
	return limb_is_whole(limb_here(slot));
}

/* ---- A vCPU moves ---- */

/* What goes with the first vCPU, because its home is the VM's. */
static void give_vm(struct slot *slot, struct party *party)
{
	struct run_queue *queue = &host_processor()->queue;

	timer_take_out(&slot->turn, &party->timers);
	if (queue->payer == &slot->turn)
		queue->payer = NULL;
	if (slot->config->cap)
		(void)cap_wait(&slot->cap, queue->vms.length, limb_here(slot)->turn.used, queue->mark);
}

static void take_in_vm(struct slot *slot)
{
	slot->turn.vm = &limb_here(slot)->turn;
	slot->cap.used = limb_here(slot)->turn.used;	/* of this limb: what it used elsewhere is counted */
}

/* Is there put-off work of the VM that keeps its limb here ready when this vCPU leaves it? */
static bool has_work_left(const struct slot *slot, uint32_t id)
{
	return id && home_is_of_vm(slot) && slot->vm && work_is_pending(&slot->vm->work);
}

/*
 * What one that is ready makes a processor busier by, at most: its part of its VM's weight, rounded up. A limb's weight
 * is rounded down, so rounded likewise it would seem to leave the other one less busy, go there, and be sent back for ever.
 */
static uint32_t load_of(const struct party *party)
{
	const struct slot *slot = party->slot;
	const uint32_t ready = max_u32(1, slot->ready);

	return (slot->config->weight + ready - 1) / ready;
}

/*
 * The write of look.home comes last: behind it everything is the other processor's. A look that was posted here before
 * and not put off is posted again there: whoever posted it has made this processor go round its loop.
 */
static void give(struct party *party, struct processor *to)
{
	struct processor *self = host_processor();
	struct slot *slot = party->slot;
	const uint32_t id = (uint32_t)(party - slot->parties);
	const uint32_t load = party->turn.is_ready ? load_of(party) : 0;
	struct limb *limb = limb_here(slot);
	struct vcpu *vcpu = slot->vm ? slot->vm->vcpus[id] : NULL;	/* they go before the rest of a VM that ends */

	turn_bill(&self->queue, self->queue.payer, time_now());
	party_does(party, ACTIVITY_PAUSED);
	timer_take_out(&party->turn, &party->timers);
	if (!id)
		give_vm(slot, party);
	party->lead = turn_lead(&limb->turn);
	limb_leave(limb, party);
	if (limb->turn.in && !limb->vcpus.ready && !has_work_left(slot, id))
		limb_want(limb, false);
	if (self->running == party)
		self->running = NULL;
	self->weight -= part_of(slot);
	to->weight += part_of(slot);
	to->load += load;		/* from now on, or more would be sent there before it has looked */
	party->load = load;
	slot->moves++;
	if (vcpu)
		vcpu_give(vcpu, to);
	look_take_back(&party->look);	/* or it would count as posted, and reach its next home when that is over here */
	party->look.home = to;
	look_post(&party->look);
}

void home_give(struct party *party, struct processor *to)
{
	struct slot *slot = party->slot;

	/* Those that are not here are on their way here: none is in an exit. */
	if (!slot_stays_together(slot) && !slot->vm->is_spread)
		vm_spread(slot->vm);
	give(party, to);
}

void home_give_all(struct slot *slot, struct processor *to)
{
	for (uint32_t i = 0; i < slot->vcpus; i++)
		give(&slot->parties[i], to);
}

bool home_gather(struct slot *slot)
{
	struct processor *home = slot->parties[0].look.home;
	const bool is_mine = home == host_processor();

	for (uint32_t i = 1; i < slot->vcpus && !home_is_whole(slot); i++) {
		struct party *party = &slot->parties[i];

		if (!is_mine && lives_here(party))
			give(party, home);
		else if (is_mine && party->look.home != home)
			look_post_end(&party->look);
	}
	return is_mine;
}

static void take_in(struct party *party)
{
	struct processor *self = host_processor();
	struct slot *slot = party->slot;

	/* Of a VM that comes as a whole its first vCPU was given first, but its look may come later. */
	if (party != slot->parties && slot->parties[0].look.home == self && !lives_here(slot->parties))
		take_in(slot->parties);
	/* Now, so that no time that belongs to nobody here, from before it came, is charged to it. */
	turn_bill(&self->queue, self->queue.payer, time_now());
	self->load -= party->load;
	limb_join(limb_here(slot), party);
	if (party == slot->parties)
		take_in_vm(slot);
	timer_put_in(&party->timers);
	if (slot->vm && slot->vm->is_spread && home_is_whole(slot))
		vm_gather(slot->vm);
}

bool home_is_here(struct party *party)
{
	if (party->look.home != host_processor()) {
		look_post(&party->look);
		return false;
	}
	if (!lives_here(party))
		take_in(party);
	return true;
}

void home_enter(struct slot *slot)
{
	host_processor()->weight += slot->vcpus * part_of(slot);
}

void home_leave(struct slot *slot)
{
	host_processor()->weight -= slot->vcpus * part_of(slot);
	limb_end(limb_here(slot));
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

/* One that wants a processor and has to wait for it here; NULL: all of the limb run, sleep, or only its VM has work. */
static struct party *who_waits(struct slot *slot, const struct party *running)
{
	for (uint32_t i = 0; i < slot->vcpus; i++) {
		struct party *party = &slot->parties[i];

		if (party != running && lives_here(party) && party->turn.is_ready)
			return party;
	}
	return NULL;
}

static bool may_give(const struct slot *slot, const struct party *running)
{
	const struct limb *limb = slot->config ? limb_here(slot) : NULL;

	if (!limb || !limb->turn.in || !limb->turn.is_ready)
		return false;
	return slot != running->slot || (limb->vcpus.ready > 1 && !slot_stays_together(slot));
}

/* To a processor that has nothing to do. False: there is none where it may live. */
static bool offer(struct slot *slot, const struct party *running)
{
	struct party *party = slot_stays_together(slot) ? NULL : who_waits(slot, running);
	struct processor *idler;

	if (!party && !home_is_whole(slot))
		return false;
	idler = claim_idler(slot->config);
	if (!idler)
		return false;
	if (party)
		home_give(party, idler);
	else
		home_give_all(slot, idler);
	return true;
}

/* Where it would find less to share with than here, and of such processors the least busy; NULL: nowhere. */
static struct processor *better_for(const struct party *party, const struct processor *self)
{
	const uint32_t load = load_of(party);
	struct processor *best = NULL;

	for (struct processor *other = first; other; other = other->next)
		if (other->load + load < self->load && may_live(party->slot->config, other) && (!best || other->load < best->load))
			best = other;
	return best;
}

/*
 * All processors are busy, and one that waits would make another one less busy than this one is: it goes there. What
 * it would only turn round stays. One in each turn, for those that are here now need not be in the next.
 */
static void balance(const struct processor *self, const struct party *running)
{
	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++) {
		/* May one be given? Only of such a VM is the rest to be looked at: it cannot go while one lives here. */
		const bool may_move = may_give(slot, running) && (slot->vcpus == 1 || !slot_stays_together(slot));
		struct party *party = may_move ? who_waits(slot, running) : NULL;
		struct processor *to = party ? better_for(party, self) : NULL;

		if (to) {
			home_give(party, to);
			return;
		}
	}
}

/*
 * VMs that wait for the one that runs, and in that one the vCPUs that wait for the one that runs. Said for those who go
 * idle; what is said already is not written again.
 */
static uint32_t say_waiting(struct processor *self, const struct slot *running)
{
	const uint32_t vms = self->queue.vms.ready, vcpus = limb_at(running, self)->vcpus.ready;
	const bool stays = slot_stays_together(running);
	const uint32_t waiting = (vms ? vms - 1 : 0) + (vcpus && !stays ? vcpus - 1 : 0);

	if (self->chosen != running)
		self->chosen = running;
	if (self->chosen_stays != stays)
		self->chosen_stays = stays;
	if (self->waiting != waiting)
		self->waiting = waiting;
	return waiting;
}

/* Behind the word about who waits: one that goes idle meanwhile reads it, or is seen here. */
void home_offer(const struct party *running)
{
	struct processor *self = host_processor();

	if (!first->next || !say_waiting(self, running->slot))	/* nobody else reads it, or nobody waits */
		return;
	atomic_thread_fence(memory_order_seq_cst);	/* also behind who is ready, where the word itself stays what it was */
	if (idlers) {
		for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX && idlers; slot++)
			while (idlers && may_give(slot, running) && offer(slot, running))
				continue;
		(void)say_waiting(self, running->slot);
	}
	if (self->queue.mark >= self->may_balance) {
		self->may_balance = self->queue.mark + self->queue.vms.length;
		balance(self, running);
	}
}

/* What is read of the other processor's here may be a moment old: then it has not yet asked for idlers, and will see this one. */
static bool has_one_of(const struct processor *home, const struct slot *slot)
{
	const struct limb *limb = limb_at(slot, home);
	const uint32_t ready = __atomic_load_n(&limb->vcpus.ready, __ATOMIC_RELAXED);

	if (!__atomic_load_n(&limb->turn.is_ready, __ATOMIC_RELAXED))
		return false;
	if (slot == home->chosen)
		return !home->chosen_stays && ready > 1;
	return ready || __atomic_load_n(&limb->vcpus.count, __ATOMIC_RELAXED) == slot->vcpus;
}

/* Does one wait there that may use this processor? */
static bool has_for(const struct processor *home, struct processor *self)
{
	if (!home->waiting)
		return false;
	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++) {
		const struct handoff_vm *config = __atomic_load_n(&slot->config, __ATOMIC_RELAXED);

		if (config && may_live(config, self) && has_one_of(home, slot))
			return true;
	}
	return false;
}

/*
 * They choose again, see that this one is idle, and give it something. Whoever runs there pays for the interrupt. So one that called in
 * vain, because it had something to do again too soon, does not call for a turn: a guest that halts for moments could make it
 * call all the time. Little is lost: where somebody waits a turn ends by then, and who chooses next sees who is idle.
 */
static void call_others(struct processor *self)
{
	for (struct processor *other = first; other; other = other->next)
		if (has_for(other, self)) {
			host_kick(other, KICK_WAKE);
			self->may_call = self->queue.mark + self->queue.vms.length;
		}
}

/* The flag first, then the look at the others: one that chooses meanwhile sees the flag, or is interrupted. */
void home_idle_begin(void)
{
	struct processor *self = host_processor();

	self->waiting = 0;		/* nobody was chosen, so nobody waits */
	idlers++;
	self->is_idle = true;
	if (self->queue.mark >= self->may_call)
		call_others(self);
}

void home_idle_end(void)
{
	struct processor *self = host_processor();

	if (!claim(self))
		self->may_call = 0;	/* somebody was sent here */
}

void homes_wake(void)
{
	for (struct processor *other = first; other; other = other->next)
		if (other != host_processor())
			host_kick(other, KICK_WAKE);
}
