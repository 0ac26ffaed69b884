/* SPDX-License-Identifier: MIT */
/*
 * The scheduler (contract in sched.h). What it keeps is the processor's (processor.h); `attention` is its
 * only interrupt.
 */
#include "hv/sched.h"

#include "arch/x86/pv/steal.h"
#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "boot/handoff.h"
#include "hv/console.h"
#include "hv/home.h"
#include "hv/host.h"
#include "hv/lib/util.h"
#include "hv/limb.h"
#include "hv/page.h"
#include "hv/processor.h"
#include "hv/restore_test.h"
#include "hv/slots.h"
#include "hv/spread.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_timers.h"
#include "hv/watch.h"

#define TURNS_PER_SECOND	100U
#define WAY_PER_TURN		1000U	/* an interrupt and the way from it to pick take less than this part of a turn */

/* Nothing to do: the timer's interrupt has set attention, which makes the vCPU leave its run loop. */
static void turn_is_over(void *ctx)
{
	(void)ctx;
}

/* In how many ticks its cap lets the VM, all of which is here, use time again; 0: at once. */
static uint64_t wait_of(struct slot *slot, uint64_t now)
{
	const struct limb *limb = limb_at(slot, host_processor());

	return cap_wait(&slot->cap, limb->turn.in->length, limb->turn.used, now);
}

/*
 * A timer is due, or another processor has posted a look. That may have interrupted another party, which does not pay for it: the
 * time since then, or since another timer had its time, is charged to whose timer or look it is, up to the time that an interrupt
 * can take. That is a vCPU, or a VM as a whole. Returns in how many ticks it may run; 0: now.
 */
static uint64_t bill_interrupt(struct turn *payer, uint64_t since)
{
	struct limb *limb = container_of(payer->vm, struct limb, turn);
	struct slot *slot = limb->slot;
	struct run_queue *queue = &host_processor()->queue;
	uint64_t now = time_now(), wait;

	turn_bill(queue, payer, now - min_u64(now - since, queue->vms.length / WAY_PER_TURN));
	wait = slot->cap.percent ? wait_of(slot, now) : 0;
	if (wait)
		look_post(&slot->parties[0].look);	/* its cap is used up, by this: it may not run either */
	return max_u64(turn_debt(&limb->turn), wait);
}

static void resume(void *ctx)
{
	(void)ctx;
	looks_resume();
}

/* The processor's own timer interrupts at the first of its deadlines. */
static void wake_at(uint64_t deadline, void *ctx)
{
	(void)ctx;
	host_wake_at(deadline);
}

/* A tournament of no more places than there are VMs: who wakes or sleeps plays the matches between its place and the end. */
static void init_processor(struct processor *self, const struct sched_policy *policy, uint32_t vms)
{
	turns_init(&self->queue.vms, policy, time_hz() / TURNS_PER_SECOND, self->order, vms);
	self->queue.used = self->used;
	self->queue.mark = time_now();
	self->running = NULL;
	self->looks = NULL;
	timer_init(&self->turn_end, turn_is_over, NULL);
	timer_init(&self->resume, resume, NULL);
	self->put_off = NULL;
	self->resumes = false;
	self->timers.on_change = wake_at;
}

void sched_init(const struct handoff_host *host, uint32_t count)
{
	static const struct sched_policy *const policies[] = {
		[SCHEDULER_SHARE] = &sched_share, [SCHEDULER_ROUND_ROBIN] = &sched_round_robin,
	};
	struct processor *processor;

	slots_init(host->attach, count);
	homes_init();
	for (uint32_t i = 0; (processor = host_processor_at(i)); i++)
		init_processor(processor, policies[host->scheduler], max_u32(1, count));
	timer_set_bill(bill_interrupt);
}

/* ---- Choosing ---- */

static bool is_alive(const struct slot *slot)
{
	return slot->vm && vm_is_alive(slot->vm);
}

/*
 * Is there something to do here for the VM as a whole: its start, its end, its next start, what its devices put off? It
 * is taken apart, and started again, where all of it is.
 */
static bool has_work(const struct limb *limb)
{
	const struct slot *slot = limb->slot;

	if (limb->is_live)
		return work_is_pending(&slot->vm->work) && limb_is_of_vm(limb);
	return limb_is_whole(limb) && (slot->vm || slot->is_due);
}

/* It wants the processor. May it run, or does it wait until its cap lets it? */
static bool is_allowed(struct slot *slot)
{
	uint64_t now, wait;

	if (!slot->cap.percent)
		return true;
	now = time_now();
	wait = wait_of(slot, now);
	if (wait)
		timer_arm(&slot->allowed, now + wait);
	return !wait;
}

/* What the vCPU does from now on. */
static void note(const struct processor *self, struct party *party)
{
	const struct limb *limb = limb_at(party->slot, self);
	enum activity activity = limb->is_limited ? ACTIVITY_LIMITED : ACTIVITY_READY;

	if (!limb->is_live)
		activity = ACTIVITY_PAUSED;
	else if (!party->turn.is_ready)
		activity = ACTIVITY_HALTED;
	else if (party == self->running)
		activity = ACTIVITY_RUN;
	if (party->activities.now != activity)
		party_does(party, activity);
}

static void note_all(const struct processor *self, struct limb *limb)
{
	struct slot *slot = limb->slot;

	for (uint32_t i = 0; i < slot->vcpus; i++)
		if (limb_has(limb, &slot->parties[i]))
			note(self, &slot->parties[i]);
}

/* One that sleeps takes here what another processor asked of it: that may have woken it. */
static bool is_awake(struct vcpu *vcpu)
{
	if (vcpu->state != VCPU_READY && vcpu->requests)
		vcpu_take_requests(vcpu);
	return vcpu->state == VCPU_READY;
}

static struct vcpu *vcpu_of(const struct party *party)
{
	return party->slot->vm->vcpus[party->turn.place];	/* its place in the order is its number (limb_join) */
}

/* Of a VM that runs: it wants the processor, or the log wants to know where it is. */
static bool wants_turn(struct party *party)
{
	return is_awake(vcpu_of(party)) || party->is_asked_where;
}

/*
 * Another processor has posted this look at `since`, and so has interrupted whoever ran here. That is charged to the one
 * whose look it is, as with timers: else a guest whose vCPU on another processor wakes this one all the time would take the
 * time of its neighbours. If it cannot run anyhow, because its VM is in debt, the look waits until that is over. While
 * nobody ran here, nobody was interrupted, and nobody is in debt (sched_run).
 */
static bool is_put_off(struct processor *self, struct party *party, uint64_t since)
{
	uint64_t wait, end;

	if (!since || !self->queue.payer || !is_alive(party->slot))
		return false;
	wait = bill_interrupt(&party->turn, since);
	if (!wait || !look_put_off(&party->look))
		return false;
	end = time_now() + wait;
	if (!timer_is_armed(&self->resume) || end < self->resume.deadline)	/* all come back when the first may */
		timer_arm(&self->resume, end);
	return true;
}

/* Up to when the one that ran is charged: for what comes behind that those pay who have interrupted it (is_put_off). */
static uint64_t ran_until(const struct processor *self)
{
	const uint64_t now = time_now();
	uint64_t until = now;

	for (const struct look *look = self->looks; look; look = look->next)
		if (look->since && look->since < until)
			until = look->since;
	return until == now ? now : now - min_u64(now - until, self->queue.vms.length / WAY_PER_TURN);
}

/*
 * Does it want the processor, by what is known now? What changes for the VM as a whole changes for its siblings here, too.
 * What belongs to a VM that has ended goes to the VM's home. True: what the party does may have changed.
 */
static bool look_at(struct processor *self, struct party *party, uint64_t since)
{
	struct slot *slot = party->slot;
	struct limb *limb = limb_at(slot, self);
	const bool was_live = limb->is_live, was_limited = limb->is_limited;
	bool wants;

	if (!slot->config || !(limb_has(limb, party) || home_is_here(party)) || (!is_alive(slot) && !home_gather(slot)) ||
	    is_put_off(self, party, since))
		return false;
	limb->is_live = is_alive(slot);
	if (limb->is_live && party == slot->parties)
		vm_timers_follow(slot->vm);
	limb_set_ready(limb, party, limb->is_live && wants_turn(party));
	wants = (limb->is_live && turns_first(&limb->vcpus)) || has_work(limb);	/* behind its end some are left in the order */
	limb->is_limited = wants && !is_allowed(slot);
	limb_want(limb, wants && !limb->is_limited);
	if (was_live && !limb->is_live)
		limb_stop(limb);
	if (limb->is_live != was_live || limb->is_limited != was_limited)
		note_all(self, limb);
	return true;
}

/* The VM that goes next, and in it the vCPU. The first party stands for work on the VM as a whole. */
static struct party *choose(struct run_queue *queue)
{
	struct turn *vm = queue->vms.policy->pick(&queue->vms), *vcpu;
	struct limb *limb;

	if (!vm)
		return NULL;
	limb = container_of(vm, struct limb, turn);
	if (!limb_is_whole(limb))
		limb_weigh(limb);
	vcpu = limb->vcpus.policy->pick(&limb->vcpus);
	return vcpu ? container_of(vcpu, struct party, turn) : limb->slot->parties;
}

/*
 * It wants the processor, and nothing about its VM can have changed that it would have to be looked at for. Such is mostly
 * the one that ran; one that woke; and one that has just been looked at, for if that woke it, that has posted a look.
 */
static bool just_wants(const struct limb *limb, const struct party *party)
{
	const struct slot *slot = party->slot;

	return limb_has(limb, party) && limb->is_live && !slot->cap.percent && is_alive(slot) && !slot->vm->alarm_is_stale &&
	       vcpu_of(party)->state == VCPU_READY;
}

static bool wants_on(const struct processor *self, const struct party *party)
{
	return party->turn.is_ready && just_wants(limb_at(party->slot, self), party);
}

/* As look_at, where there is nothing to ask. False: there is. */
static bool wakes(struct processor *self, struct party *party)
{
	struct limb *limb = limb_at(party->slot, self);

	if (!just_wants(limb, party))
		return false;
	limb_set_ready(limb, party, true);
	limb_want(limb, true);
	return true;
}

/*
 * All that were asked for. Who is looked at may be the next to run, so the last of them is not noted yet, but returned: a
 * switch to it is one change less. NULL: there is none.
 */
static struct party *look_at_all(struct processor *self)
{
	struct party *last = NULL;
	struct look *look;
	uint64_t since;

	while ((look = look_take(&self->looks, &since))) {
		struct party *party = container_of(look, struct party, look);

		if (last)
			note(self, last);	/* before the next one is looked at, for that may send it to another processor */
		last = (!since && wakes(self, party)) || look_at(self, party, since) ? party : NULL;
	}
	host_attention_look(false);	/* what woke meanwhile, in is_awake, has been looked at as well */
	return last;
}

/*
 * In this round, by the timer of another vCPU: the time before has been charged (bill_interrupt), and that one pays since then. A
 * VM as a whole takes no turns (`in` is NULL): what its devices' timers interrupt is charged once more.
 */
static bool is_interrupted(const struct processor *self)
{
	const struct turn *payer = self->queue.payer;

	return self->running && payer && payer->in && payer != &self->running->turn;
}

/* The one that ran is looked at before those that woke: whether it still wants the processor says how late they are. */
static struct party *pick(struct processor *self)
{
	struct party *before, *last;

	if (!is_interrupted(self))
		turn_bill(&self->queue, self->queue.payer, ran_until(self));
	if (self->running && !wants_on(self, self->running))
		(void)look_at(self, self->running, 0);
	if (self->resumes)
		looks_resume();
	last = look_at_all(self);
	before = self->running;		/* NULL: it has moved, too */
	self->running = choose(&self->queue);
	if (last && last != self->running)
		note(self, last);
	if (before && before != self->running)
		note(self, before);
	if (self->running) {
		note(self, self->running);
		home_offer(self->running);
	}
	return self->running;
}

/*
 * The party's vCPU spins: it may wait for a sibling that is ready and has no processor. It gives up the rest of its
 * turn. The VM keeps the rest of its own, so the share of other VMs stays the same.
 */
static void yield(struct processor *self, struct party *party)
{
	turn_bill(&self->queue, &party->turn, time_now());
	turn_put(&party->turn);
}

/* ---- The loop ---- */

/*
 * An interrupt that came while the hypervisor ran is pending now. It is taken here, before the next entry, which the
 * processor would have to leave for it at once.
 */
static void do_host_work(void)
{
	host_take_interrupts();
	timer_run_due();
	host_wake_at(timer_next());	/* the host's timer may have fired early, for a deadline that is gone */
	console_poll();
	/*
	 * Interrupts are off since the first line. Who woke has posted a look; of the last VM's end sched_run
	 * asks before it halts.
	 */
	host_attention_clear();
}

/*
 * What the VM's devices put off comes first and uses up its turn. Each step is short (virtio/queue.h), and
 * between two of them interrupts come in. False: the turn is over, or something else wants the processor.
 */
static bool run_work(struct vm *vm, uint64_t end)
{
	while (work_is_pending(&vm->work)) {
		const uint64_t start = time_now();

		machine_take(vm);
		work_run_one(&vm->work);
		machine_drop(vm);
		vm->longest_work = (uint32_t)max_u64(vm->longest_work, min_u64(time_now() - start, UINT32_MAX));
		host_take_interrupts();
		if (host_attention_is_set() || time_now() >= end)
			return false;
	}
	return true;
}

/*
 * The timers that are due, if the guest has left its run loop for nothing but timers of its own VM: it may go on, and who
 * works for whom stays as it is. False: others' timers, looks, or whatever else sets attention want the loop. So does
 * the end of the turn, before any timer fires: behind it they may have to wait, with their VM.
 */
static bool fire_own_timers(const struct processor *self, const struct turn *vm, uint64_t end)
{
	uint64_t now;

	if (!host_attention_is_timer())
		return false;
	now = time_now();
	if (now >= end || !timer_run_own(vm, now))
		return false;
	host_wake_at(timer_next());	/* the host's timer may have fired early, as in do_host_work */
	if (!host_attention_is_timer() || self->looks)
		return false;
	host_attention_clear();
	return true;
}

/*
 * A turn ends by the back end's own timer, which counts only while the guest runs, or else by ours; and by the clock
 * at exits (vcpu_run), for a guest that exits all the time, or holds our interrupts back.
 */
static void run_vcpu(struct processor *self, struct party *party, struct vcpu *vcpu)
{
	struct turn *own = &party->turn, *all = own->vm;
	bool is_alone = !turn_has_rivals(own) && !turn_has_rivals(all) && !party->slot->cap.percent;
	uint64_t tick, left, end;

	vcpu_load(vcpu);
	if (self->queue.payer != own)
		turn_bill(&self->queue, own, time_now());	/* the change from one to the other is the time of whoever ran before */
	tick = min_u64(own->in->policy->tick(own->in, own), all->in->policy->tick(all->in, all));
	left = min_u64(tick, cap_left(&party->slot->cap));
	end = self->queue.mark + left;
	if (!virt->limit_turn(vcpu, is_alone ? TIMER_NEVER : left) && !is_alone)
		timer_arm(&self->turn_end, end);
	else
		timer_disarm(&self->turn_end);
	steal_tell(vcpu, activity_waited(&party->activities));
	if ((!work_is_pending(&vcpu->vm->work) || !home_is_of_vm(party->slot) || run_work(vcpu->vm, end)) &&
	    vcpu->state == VCPU_READY) {
		end = restore_test_turn(vcpu, end);
		do
			vcpu_run(vcpu, end);
		while (fire_own_timers(self, all, end));
	}
	if (vcpu->vm->restore_test.left && home_is_whole(party->slot))
		restore_test_step(vcpu->vm);
}

/* A piece of a VM that starts, has ended or starts again, or one of its vCPUs that has not been told yet. */
static void run_ended(struct processor *self, struct party *party)
{
	struct slot *slot = party->slot;

	if (!home_is_whole(slot)) {
		look_post(&party->look);
		return;
	}
	turn_bill(&self->queue, &slot->turn, time_now());
	slot_work(slot);
}

/*
 * One turn of a party. All time until the next call of turn_bill is charged to it: its exits, its start, its end, and
 * our own work in the loop.
 */
static void run(struct processor *self, struct party *party)
{
	struct slot *slot = party->slot;
	struct vcpu *vcpu;

	if (!is_alive(slot)) {
		run_ended(self, party);
		return;
	}
	if (party->is_asked_where)
		party_say_where(party);
	vcpu = vcpu_of(party);
	run_vcpu(self, party, vcpu);
	if (vcpu->yields)
		yield(self, party);
	vcpu->yields = false;
}

void sched_run(void)
{
	struct processor *self = host_processor();

	watch_begin();
	while (slots_in_use()) {
		struct party *party;

		if (host_attention_is_look())
			host_attention_clear();		/* the loop has been left for nothing but a vCPU that woke here */
		else
			do_host_work();
		party = pick(self);
		if (party) {
			run(self, party);
			continue;
		}
		turn_bill(&self->queue, NULL, time_now());
		if (self->put_off) {		/* while nobody wants the processor there is no debt */
			looks_resume();
			continue;
		}
		home_idle_begin();
		if (console_idle_work() || page_idle_work()) {
			host_take_interrupts();		/* between two short steps, so that no interrupt waits long */
		} else {
			timer_disarm(&self->turn_end);
			if (slots_in_use())	/* again: the interrupt that told of the last end may have been taken above */
				host_idle();
		}
		home_idle_end();
	}
	watch_end();
}
