/* SPDX-License-Identifier: MIT */
/* The scheduler (contract in sched.h). One processor, so no lock; `attention` is its only interrupt. */
#include "hv/sched.h"

#include "arch/x86/virt/backend.h"
#include "arch/x86/virt/load.h"
#include "boot/handoff.h"
#include "hv/console.h"
#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/page.h"
#include "hv/restart.h"
#include "hv/timer.h"
#include "hv/turn.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define TURNS_PER_SECOND	100U
#define SILENCE_SECONDS		20U	/* of a guest, after its start: then the log says where it is */

/* One that may want the processor: a vCPU of the VM in its slot. The first also stands for work on the VM as a whole. */
struct party {
	struct turn  turn;
	struct slot *slot;
};

/* A VM from its first start to its last end: what is here outlives its restarts. */
struct slot {
	const struct handoff_vm *config;	/* NULL: the slot is free */
	struct vm      *vm;			/* NULL: waits for its next start */
	bool            was_started;
	struct restarts restarts;
	uint32_t        wait;			/* of a VM that ended: RESTART_NEVER, or seconds until its next start */
	struct timer    again;			/* ends that wait */
	struct timer    silence;		/* looks whether it has said anything */
	struct party    parties[VM_VCPUS_MAX];
};

static struct slot  slots[HANDOFF_VMS_MAX];
static uint32_t     crashed;
static struct turns turns;
static struct timer turn_end;	/* ends the turn of a vCPU where virtualization has no timer for it */

/* The turn is over when the host's timer interrupts: attention is what ends it, there is nothing to do here. */
static void turn_is_over(void *ctx)
{
	(void)ctx;
}

static const char *attach_name;
static bool attach_only;	/* no name given and just one VM: that one */

/* ---- Where is my guest? ---- */

/* One line for each vCPU. Each is loaded first, for only then can its registers be read. */
static void say_where(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		vcpu_load(vm->vcpus[i]);
		vcpu_where(vm->vcpus[i]);
	}
}

static void say_all_where(void)
{
	for (const struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++)
		if (slot->vm && vm_is_alive(slot->vm))
			say_where(slot->vm);
}

/* A guest that says nothing at all after its start is a riddle to whoever wrote it. */
static void look_for_silence(void *ctx)
{
	const struct slot *slot = ctx;

	if (!slot->vm || !vm_is_alive(slot->vm) || console_has_heard(slot->vm))
		return;
	vm_log(slot->vm, "has said nothing for %u s, on any console; now", SILENCE_SECONDS);
	say_where(slot->vm);
}

void sched_init(const char *attach, uint32_t count)
{
	attach_name = attach;
	attach_only = !*attach && count == 1;
	crashed = 0;
	turns.length = time_hz() / TURNS_PER_SECOND;
	timer_init(&turn_end, turn_is_over, NULL);
	timer_set_hook(host_wake_at);
	console_on_where(say_all_where);
}

/* ---- Slots ---- */

static uint32_t party_count(const struct slot *slot)
{
	return (uint32_t)min_u64(slot->config->vcpus, VM_VCPUS_MAX);
}

static void slot_leave(struct slot *slot)
{
	for (uint32_t i = 0; i < party_count(slot); i++)
		turn_leave(&turns, &slot->parties[i].turn);
	slot->config = NULL;
}

static int slot_start(struct slot *slot)
{
	slot->vm = vm_create(slot->config);
	if (!slot->vm) {
		crashed++;
		slot_leave(slot);
		return -1;
	}
	slot->vm->is_restart = slot->was_started;
	slot->was_started = true;
	if (attach_only || !strcmp(attach_name, slot->vm->name))
		console_attach(slot->vm);
	timer_arm(&slot->silence, time_now() + SILENCE_SECONDS * time_hz());
	return 0;
}

/* Its wait is over. What the start costs is the VM's own time. */
static void start_again(void *ctx)
{
	struct slot *slot = ctx;
	uint64_t begin = time_now();

	(void)slot_start(slot);
	turn_charge(&turns, &slot->parties[0].turn, time_now() - begin);
}

int sched_add(const struct handoff_vm *config)
{
	struct slot *slot = slots;

	while (slot < slots + HANDOFF_VMS_MAX && slot->config)
		slot++;
	if (slot == slots + HANDOFF_VMS_MAX)
		return -1;
	*slot = (struct slot){ .config = config };
	timer_init(&slot->again, start_again, slot);
	timer_init(&slot->silence, look_for_silence, slot);
	for (uint32_t i = 0; i < party_count(slot); i++) {
		slot->parties[i].slot = slot;
		turn_join(&turns, &slot->parties[i].turn);
	}
	return slot_start(slot);
}

/* ---- Choosing ---- */

/* The first party also stands for what is done for the VM as a whole: its start, its end, what its devices put off. */
static void find_ready(struct slot *slot)
{
	bool is_alive = slot->vm && vm_is_alive(slot->vm);
	bool has_work = slot->vm && (slot->vm->state != VM_RUNNING || (is_alive && work_is_pending(&slot->vm->work)));

	for (uint32_t i = 0; i < party_count(slot); i++, has_work = false)
		slot->parties[i].turn.is_ready = has_work || (is_alive && slot->vm->vcpus[i]->state == VCPU_READY);
}

static struct party *pick(void)
{
	struct turn *turn;

	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++)
		if (slot->config)
			find_ready(slot);
	turn = turn_next(&turns);
	return turn ? container_of(turn, struct party, turn) : NULL;
}

/* ---- Ends ---- */

static const struct longest_exit *longest_exit(const struct vm *vm)
{
	const struct longest_exit *longest = &vm->vcpus[0]->longest;

	for (uint32_t i = 1; i < vm->vcpu_count; i++)
		if (vm->vcpus[i]->longest.ticks > longest->ticks)
			longest = &vm->vcpus[i]->longest;
	return longest;
}

static void report_end(const struct vm *vm, uint32_t wait)
{
	const struct longest_exit *longest = longest_exit(vm);
	char again[40] = "";
	static const char *const words[] = {
		[VM_END_SHUTDOWN] = "shut off (shutdown)", [VM_END_REBOOT] = "rebooting",
		[VM_END_CRASHED] = "crashed", [VM_END_DESTROYED] = "shut off (destroyed)",
	};
	uint64_t exits = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		exits += vm->vcpus[i]->trace.total;
	if (wait != RESTART_NEVER)
		format_buf(again, sizeof(again), "; starts again in %u s", wait);
	vm_log(vm, "%s: %s; %lu exits, the longest %u ticks (%s), %lu KiB RAM touched, %lu KiB of our own%s",
	       words[vm->end], vm->end_reason, exits, longest->ticks, exit_name(longest->exit.reason),
	       vm->gpm.populated / 1024, vm->overhead / 1024 + vm->npt.tables * 4, again);
}

/*
 * In how many seconds it starts again, or RESTART_NEVER. One that could not be started would fail again at once, so
 * it is not tried again.
 */
static uint32_t wait_after(struct slot *slot)
{
	const struct vm *vm = slot->vm;
	bool has_crashed = vm->end == VM_END_CRASHED;
	uint32_t wait;

	if (has_crashed ? slot->config->on_crash != ACTION_RESTART || vm->state != VM_RUNNING
			: vm->end != VM_END_REBOOT || slot->config->on_reboot != ACTION_RESTART)
		return RESTART_NEVER;
	wait = restart_wait(&slot->restarts, has_crashed, vm_now(vm) / time_hz());
	if (wait == RESTART_NEVER)
		log_error("%s: crashed %u times in a row, each within %u s of its start: not started again", vm->name,
			  RESTART_CRASHES_MAX, RESTART_CRASH_LIFE);
	return wait;
}

static void reap(struct slot *slot)
{
	slot->wait = wait_after(slot);
	report_end(slot->vm, slot->wait);
	crashed += slot->vm->end == VM_END_CRASHED && slot->wait == RESTART_NEVER;
	vm_take_down(slot->vm);
}

/* Nothing is left of it. */
static void slot_is_empty(struct slot *slot)
{
	slot->vm = NULL;
	timer_disarm(&slot->silence);
	if (slot->wait == RESTART_NEVER)
		slot_leave(slot);
	else
		timer_arm(&slot->again, time_now() + slot->wait * time_hz());
}

/* Take ended VMs away. False when no VM is left, nor one that waits for its next start. */
static bool reap_all(void)
{
	bool is_any_left = false;

	for (struct slot *slot = slots; slot < slots + HANDOFF_VMS_MAX; slot++) {
		if (slot->vm && slot->vm->end != VM_END_NONE && slot->vm->state != VM_ENDING)
			reap(slot);
		is_any_left |= slot->config != NULL;
	}
	return is_any_left;
}

/* ---- The loop ---- */

/*
 * An interrupt that came while the hypervisor ran is pending now. Real processors leave the guest for it at once. Bochs
 * does not while the guest has IF clear, so it is taken here, before the next entry.
 */
static void do_host_work(void)
{
	host_take_interrupts();
	timer_run_due();
	host_wake_at(timer_next());	/* it may have fired early, for a deadline that is gone */
	console_poll();
	host_attention_clear();	/* no interrupt has come since the first line, and whoever woke is seen by pick */
}

/*
 * What the VM's devices put off comes first and uses up its turn. Each step is short (virtio/queue.h), and between two of
 * them interrupts come in. False: the turn is over, or something else wants the processor.
 */
static bool run_work(struct vm *vm, uint64_t end)
{
	while (work_is_pending(&vm->work)) {
		work_run_one(&vm->work);
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
static void run_vcpu(struct vcpu *vcpu, uint64_t left)
{
	bool has_rivals = turn_has_rivals(&turns);
	uint64_t end = time_now() + left;

	vcpu_load(vcpu);
	if (!virt->limit_turn(vcpu, has_rivals ? left : TIMER_NEVER) && has_rivals)
		timer_arm(&turn_end, end);
	else
		timer_disarm(&turn_end);
	if (run_work(vcpu->vm, end) && vcpu->state == VCPU_READY)
		vcpu_run(vcpu, restore_test_turn(vcpu, end));
	restore_test_step(vcpu->vm);
}

/* All that is done for it is its own time: what its exits make us do, its start, its end. */
static void run(struct party *party)
{
	struct slot *slot = party->slot;
	uint64_t begin = time_now();

	if (slot->vm->state == VM_RUNNING)
		run_vcpu(slot->vm->vcpus[party - slot->parties], turn_left(&turns, &party->turn));
	else if (slot->vm->state == VM_STARTING)
		vm_start(slot->vm);
	else if (vm_dismantle(slot->vm))
		slot_is_empty(slot);
	turn_charge(&turns, &party->turn, time_now() - begin);
}

uint32_t sched_run(void)
{
	for (;;) {
		struct party *party;

		do_host_work();
		if (!reap_all())
			return crashed;
		party = pick();
		if (party) {
			run(party);
		} else if (page_idle_work()) {
			host_take_interrupts();		/* a little at a time, so that nobody waits for it */
		} else {
			timer_disarm(&turn_end);
			host_idle();
		}
	}
}
