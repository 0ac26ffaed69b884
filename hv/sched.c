/* SPDX-License-Identifier: MIT */
/* The scheduler (contract in sched.h). What it keeps is the processor's (processor.h); `attention` is its only interrupt. */
#include "hv/sched.h"

#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "hv/console.h"
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

/*
 * A timer is due. It may have interrupted another party, which does not pay for that: the time since the deadline is
 * charged to the timer's owner, up to the time that an interrupt can take.
 */
static uint64_t bill_timer(struct turn *payer, uint64_t deadline)
{
	struct turns *turns = &host_processor()->turns;
	uint64_t now = time_now();

	turn_bill(turns, payer, now - min_u64(now - deadline, turns->length / WAY_PER_TURN));
	return turn_debt(turns, payer);
}

void sched_init(const char *attach, uint32_t count)
{
	struct processor *self = host_processor();

	slots_init(attach, count);
	self->turns.length = time_hz() / TURNS_PER_SECOND;
	self->turns.mark = time_now();
	timer_init(&self->turn_end, turn_is_over, NULL);
	timer_set_hooks(&(const struct timer_hooks){ .on_change = host_wake_at, .bill = bill_timer });
}

/* ---- Choosing ---- */

/* The first party also stands for what is done for the VM as a whole: its start, its end, what its devices put off. */
static void find_ready(struct slot *slot)
{
	bool is_alive = slot->vm && vm_is_alive(slot->vm);
	bool has_work = slot->vm ? !is_alive || work_is_pending(&slot->vm->work) : slot->is_due;

	for (uint32_t i = 0; i < party_count(slot); i++, has_work = false)
		slot->parties[i].turn.is_ready = has_work || (is_alive && slot->vm->vcpus[i]->state == VCPU_READY);
}

static struct party *pick(struct turns *turns)
{
	struct turn *turn;

	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++)
		if (slot->config)
			find_ready(slot);
	turn_bill(turns, turns->payer, time_now());
	turn = turn_next(turns);
	return turn ? container_of(turn, struct party, turn) : NULL;
}

/*
 * The party's vCPU spins: it may wait for a sibling that is ready and has no processor. A ready sibling takes over its
 * place in the order, of several the one that gave up its own place longest ago. The share of other VMs stays the same.
 */
static void yield(struct processor *self, struct party *party)
{
	const struct slot *slot = party->slot;
	struct party *next = NULL;

	for (uint32_t i = 0; i < slot->vm->vcpu_count; i++) {
		struct party *sibling = &party->slot->parties[i];

		if (sibling != party && slot->vm->vcpus[i]->state == VCPU_READY &&
		    (!next || sibling->yielded < next->yielded))
			next = sibling;
	}
	turn_bill(&self->turns, &party->turn, time_now());
	if (next)
		turn_swap(&party->turn, &next->turn);
	party->yielded = ++self->yields;
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
	host_attention_clear();	/* interrupts are off since the first line; a vCPU that woke is found by turn_next */
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
 * A turn ends by the back end's own timer, which counts only while the guest runs, or else by ours; and by the clock
 * at exits (vcpu_run), for a guest that exits all the time, or holds our interrupts back.
 */
static void run_vcpu(struct processor *self, struct vcpu *vcpu, uint64_t left)
{
	bool has_rivals = turn_has_rivals(&self->turns);
	uint64_t end = time_now() + left;

	vcpu_load(vcpu);
	if (!virt->limit_turn(vcpu, has_rivals ? left : TIMER_NEVER) && has_rivals)
		timer_arm(&self->turn_end, end);
	else
		timer_disarm(&self->turn_end);
	if (run_work(vcpu->vm, end) && vcpu->state == VCPU_READY)
		vcpu_run(vcpu, restore_test_turn(vcpu, end));
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

	turn_bill(&self->turns, &party->turn, time_now());
	if (!slot->vm || !vm_is_alive(slot->vm)) {
		slot_work(slot);
		return;
	}
	vcpu = slot->vm->vcpus[party - slot->parties];
	run_vcpu(self, vcpu, turn_left(&self->turns, &party->turn));
	if (vcpu->yields)
		yield(self, party);
	vcpu->yields = false;
}

uint32_t sched_run(void)
{
	struct processor *self = host_processor();

	while (slots_in_use()) {
		struct party *party;

		do_host_work();
		party = pick(&self->turns);
		if (party) {
			run(self, party);
			continue;
		}
		turn_bill(&self->turns, NULL, time_now());
		if (console_idle_work() || page_idle_work()) {
			host_take_interrupts();		/* between two short steps, so that no interrupt waits long */
		} else {
			timer_disarm(&self->turn_end);
			host_idle();
		}
	}
	return slots_crashed();
}
