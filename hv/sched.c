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
#include "hv/page.h"
#include "hv/processor.h"
#include "hv/restore_test.h"
#include "hv/slots.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define TURNS_PER_SECOND	100U
#define WAY_PER_TURN		1000U	/* an interrupt and the way from it to here take less than this part of a turn */

/* Nothing to do: the timer's interrupt has set attention, which makes the vCPU leave its run loop. */
static void turn_is_over(void *ctx)
{
	(void)ctx;
}

/* In how many ticks its cap lets the VM use time again; 0: at once. */
static uint64_t wait_of(struct slot *slot, uint64_t now)
{
	return cap_wait(&slot->cap, slot->turn.in->length, slot->turn.used, now);
}

/*
 * A timer is due. It may have interrupted another party, which does not pay for that: the time since the deadline, or since
 * another timer had its time, is charged to the timer's owner, up to the time that an interrupt can take. The owner is
 * always a VM.
 */
static uint64_t bill_timer(struct turn *payer, uint64_t since)
{
	struct slot *slot = container_of(payer, struct slot, turn);
	struct run_queue *queue = &host_processor()->queue;
	uint64_t now = time_now(), wait;

	turn_bill(queue, payer, now - min_u64(now - since, queue->vms.length / WAY_PER_TURN));
	wait = wait_of(slot, now);
	if (wait)
		look_post(&slot->parties[0].look);	/* its cap is used up, by timers: it may not run either */
	return max_u64(turn_debt(payer), wait);
}

static void init_processor(struct processor *self, const struct sched_policy *policy)
{
	turns_init(&self->queue.vms, policy, time_hz() / TURNS_PER_SECOND, self->order, HANDOFF_VMS_MAX);
	self->queue.used = self->used;
	self->queue.mark = time_now();
	self->running = NULL;
	self->looks = NULL;
	timer_init(&self->turn_end, turn_is_over, NULL);
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
		init_processor(processor, policies[host->scheduler]);
	timer_set_hooks(&(const struct timer_hooks){ .on_change = host_wake_at, .bill = bill_timer });
}

/* ---- Choosing ---- */

static bool is_alive(const struct slot *slot)
{
	return slot->vm && vm_is_alive(slot->vm);
}

/*
 * Is there something to do for the VM as a whole: its start, its end, its next start, what its devices put
 * off, a question?
 */
static bool has_work(const struct slot *slot)
{
	return slot->vm ? !is_alive(slot) || work_is_pending(&slot->vm->work) || slot_is_asked(slot) : slot->is_due;
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
	const struct slot *slot = party->slot;

	if (!slot->is_live)
		party_does(party, ACTIVITY_PAUSED);
	else if (!party->turn.is_ready)
		party_does(party, ACTIVITY_HALTED);
	else if (party == self->running)
		party_does(party, ACTIVITY_RUN);
	else
		party_does(party, slot->is_limited ? ACTIVITY_LIMITED : ACTIVITY_READY);
}

/* One that sleeps takes here what another processor asked of it: that may have woken it. */
static bool is_awake(struct vcpu *vcpu)
{
	if (vcpu->state != VCPU_READY && vcpu->requests)
		vcpu_take_requests(vcpu);
	return vcpu->state == VCPU_READY;
}

/* Does it want the processor, by what is known now? What changes for its VM as a whole changes for its siblings too. */
static void look_at(const struct processor *self, struct party *party)
{
	struct slot *slot = party->slot;
	const bool was_live = slot->is_live, was_limited = slot->is_limited;
	bool wants;

	if (!slot->config || !home_is_here(slot, (uint32_t)(party - slot->parties)))
		return;
	slot->is_live = is_alive(slot);
	turn_set_ready(&party->turn, slot->is_live && is_awake(slot->vm->vcpus[party - slot->parties]));
	wants = has_work(slot) || (slot->is_live && turns_first(&slot->vcpus));	/* behind its end some are left there */
	slot->is_limited = wants && !is_allowed(slot);
	turn_set_ready(&slot->turn, wants && !slot->is_limited);
	if (slot->is_live == was_live && slot->is_limited == was_limited) {
		note(self, party);
		return;
	}
	for (uint32_t i = 0; i < party_count(slot); i++)
		note(self, &slot->parties[i]);
}

/* The VM that goes next, and in it the vCPU. The first party stands for work on the VM as a whole. */
static struct party *choose(struct run_queue *queue)
{
	struct turn *vm = queue->vms.policy->pick(&queue->vms), *vcpu;
	struct slot *slot;

	if (!vm)
		return NULL;
	slot = container_of(vm, struct slot, turn);
	vcpu = is_alive(slot) ? slot->vcpus.policy->pick(&slot->vcpus) : NULL;
	return vcpu ? container_of(vcpu, struct party, turn) : slot->parties;
}

/* The one that ran is looked at before those that woke: whether it still wants the processor says how late they are. */
static struct party *pick(struct processor *self)
{
	struct party *const before = self->running;
	struct look *look;

	turn_bill(&self->queue, self->queue.payer, time_now());
	if (before)
		look_at(self, before);
	while ((look = look_take(&self->looks)))
		look_at(self, container_of(look, struct party, look));
	self->running = choose(&self->queue);
	if (self->running != before) {	/* else it was noted when it was looked at */
		if (before)
			note(self, before);
		if (self->running)
			note(self, self->running);
	}
	if (self->running)
		home_offer(self->running->slot);
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

		work_run_one(&vm->work);
		vm->longest_work = (uint32_t)max_u64(vm->longest_work, min_u64(time_now() - start, UINT32_MAX));
		host_take_interrupts();
		if (host_attention_is_set() || time_now() >= end)
			return false;
	}
	return true;
}

/*
 * Has the guest left its run loop for nothing but timers of its own VM? They fire here, it goes on, and who works for
 * whom stays as it is. Others' timers, looks, and whatever else sets attention want the loop. So does the end of the
 * turn: behind it timers may have to wait, with their VM.
 */
static bool goes_on(const struct processor *self, const struct slot *slot, uint64_t end)
{
	const uint64_t now = time_now();

	if (!host_attention_is_timer() || now >= end || !timer_run_own(&slot->turn, now))
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
	struct turn *own = &party->turn, *all = &party->slot->turn;
	bool is_alone = !turn_has_rivals(own) && !turn_has_rivals(all) && !party->slot->cap.percent;
	uint64_t tick, left, end;

	vcpu_load(vcpu);
	turn_bill(&self->queue, own, time_now());	/* who ran before paid for the change */
	tick = min_u64(own->in->policy->tick(own->in, own), all->in->policy->tick(all->in, all));
	left = min_u64(tick, cap_left(&party->slot->cap));
	end = self->queue.mark + left;
	if (!virt->limit_turn(vcpu, is_alone ? TIMER_NEVER : left) && !is_alone)
		timer_arm(&self->turn_end, end);
	else
		timer_disarm(&self->turn_end);
	steal_tell(vcpu, activity_waited(&party->activities));
	if (run_work(vcpu->vm, end) && vcpu->state == VCPU_READY) {
		end = restore_test_turn(vcpu, end);
		do
			vcpu_run(vcpu, end);
		while (goes_on(self, party->slot, end));
	}
	restore_test_step(vcpu->vm);
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
		turn_bill(&self->queue, &slot->turn, time_now());
		slot_work(slot);
		return;
	}
	if (slot_is_asked(slot))
		slot_say_where(slot);
	vcpu = slot->vm->vcpus[party - slot->parties];
	run_vcpu(self, party, vcpu);
	if (vcpu->yields)
		yield(self, party);
	vcpu->yields = false;
}

void sched_run(void)
{
	struct processor *self = host_processor();

	while (slots_in_use()) {
		struct party *party;

		do_host_work();
		party = pick(self);
		if (party) {
			run(self, party);
			continue;
		}
		turn_bill(&self->queue, NULL, time_now());
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
}
