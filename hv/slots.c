/* SPDX-License-Identifier: MIT */
/* What becomes of a VM that ended, and who starts it again (contract in slots.h). */
#include "hv/slots.h"

#include "arch/x86/exit/exit.h"
#include "arch/x86/virt/load.h"
#include "hv/console.h"
#include "hv/end.h"
#include "hv/home.h"
#include "hv/host.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/limb.h"
#include "hv/log.h"
#include "hv/page.h"
#include "hv/panic.h"
#include "hv/processor.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "hv/vm_life.h"
#include "hv/vm_nodes.h"

#define SILENCE_SECONDS		20U	/* of a guest, after its start: then the log says where it is */

struct slot *slots;

static _Atomic uint32_t in_use, crashed;	/* VMs end on any processor */
static uint32_t slots_ever;	/* those behind have never been in use; constant when VMs run */
static uint64_t slots_bytes;	/* of their parties and limbs; constant when VMs run */
static const char *attach_name;
static bool attach_only;	/* no name given and just one VM: that one */

/* Charge all time from here on to this VM. */
static void work_for(struct slot *slot)
{
	turn_bill(&host_processor()->queue, &slot->turn, time_now());
}

/* ---- Where is my guest? ---- */

/* The vCPU is loaded first, for only then can its registers be read. */
void party_say_where(struct party *party)
{
	struct vcpu *vcpu = party->slot->vm->vcpus[party - party->slot->parties];

	party->is_asked_where = false;	/* first: one who asks meanwhile is answered again */
	turn_bill(&host_processor()->queue, &party->turn, time_now());
	vcpu_load(vcpu);
	vcpu_where(vcpu);
}

static void ask_where(struct slot *slot)
{
	for (uint32_t i = 0; i < slot->vcpus; i++) {
		slot->parties[i].is_asked_where = true;
		look_post(&slot->parties[i].look);
	}
}

/*
 * Each vCPU says it in a turn of its own: it may be another processor's. Those of a VM that starts say it when it
 * runs.
 */
static void ask_all_where(void)
{
	for (uint32_t i = 0; i < slots_ever; i++)
		ask_where(&slots[i]);
}

/* A guest that has printed nothing since its start: tell its author where it is. */
static void look_for_silence(void *ctx)
{
	struct slot *slot = ctx;

	if (!slot->vm || !vm_is_alive(slot->vm) || console_has_heard(slot->vm))
		return;
	vm_log(slot->vm, "has said nothing for %u s, on any console; now", SILENCE_SECONDS);
	ask_where(slot);
}

/* ---- Starts ---- */

void party_does(struct party *party, enum activity activity)
{
	const bool is_wait = activity == ACTIVITY_READY || party->activities.now == ACTIVITY_READY;
	const uint32_t vms = is_wait ? slots_ever : 0;		/* only a wait asks who ran meanwhile */
	const struct run_queue *queue = &host_processor()->queue;

	activity_change(&party->activities, activity, queue->mark, queue->used, vms);
}

static uint64_t in_ms(uint64_t ticks)
{
	return mul_div64(ticks, 1000, time_hz());
}

/* The other VM that ran longest while a vCPU of this one was ready. */
static uint32_t noisiest(const struct slot *slot, const uint64_t *waited_for)
{
	uint32_t found = (uint32_t)(slot - slots);
	uint64_t longest = 0;

	for (uint32_t i = 0; i < slots_ever; i++)
		if (&slots[i] != slot && waited_for[i] > longest) {
			longest = waited_for[i];
			found = i;
		}
	return found;
}

/* What a vCPU did, and for which other VM it waited longest. Not for each: there may be many, and a line takes long. */
static void report_activities(const struct slot *slot, uint32_t vcpu)
{
	const struct activities *did = &slot->parties[vcpu].activities;
	const uint32_t other = noisiest(slot, did->waited_for);
	const uint64_t *ticks = did->ticks;
	const uint64_t paused = ticks[ACTIVITY_PAUSED] + excess_u64(host_processor()->queue.mark, did->since);
	char noisy[64] = "";

	if (&slots[other] != slot)
		format_buf(noisy, sizeof(noisy), " (%lu while %s ran)", in_ms(did->waited_for[other]), slots[other].name);
	log_debug("%s: vCPU %u: run %lu ms, ready %lu%s, limited %lu, halted %lu, paused %lu", slot->config->name, vcpu,
		  in_ms(ticks[ACTIVITY_RUN]), in_ms(ticks[ACTIVITY_READY]), noisy, in_ms(ticks[ACTIVITY_LIMITED]),
		  in_ms(ticks[ACTIVITY_HALTED]), in_ms(paused));
}

/* Of its time on all processors. Those where it lived before have written their part when it left them. */
static uint64_t used_in_all(const struct slot *slot)
{
	const struct processor *processor;
	uint64_t ticks = 0;

	for (uint32_t i = 0; (processor = host_processor_at(i)); i++)
		ticks += limb_at(slot, processor)->turn.used;
	return ticks;
}

static void slot_leave(struct slot *slot)
{
	struct run_queue *queue = &host_processor()->queue;

	turn_bill(queue, &slot->turn, time_now());
	log_debug("%s: %lu ms of a processor in all, moved %u time%s; nobody had %lu ms of the last one",
		  slot->config->name, in_ms(used_in_all(slot)), slot->moves, slot->moves == 1 ? "" : "s",
		  in_ms(queue->idle));
	turn_bill(queue, NULL, time_now());
	timer_disarm(&slot->allowed);
	account_close(&slot->account);
	home_leave(slot);
	slot->config = NULL;
	if (--in_use == 0)
		homes_wake();		/* nothing is left to do for anybody */
}

static int slot_start(struct slot *slot)
{
	slot->is_due = false;
	for (uint32_t i = 0; i < slot->vcpus; i++)
		slot->parties[i].is_asked_where = false;
	limb_start(limb_at(slot, host_processor()));
	slot->vm = vm_create(slot->config, &slot->account, &slot->turn, &slot->parties[0].look);
	if (!slot->vm)
		return -1;
	slot->vm->is_restart = slot->was_started;
	slot->was_started = true;
	if (attach_only || !strcmp(attach_name, slot->vm->name))
		console_attach(slot->vm);
	timer_arm(&slot->silence, time_now() + SILENCE_SECONDS * time_hz());
	return 0;
}

/* The wait is over. The timer only notes that; the VM is created in a turn of its own. */
static void wait_is_over(void *ctx)
{
	struct slot *slot = ctx;

	slot->is_due = true;
	look_post(&slot->parties[0].look);
}

/* Its cap lets it run again. */
static void cap_is_over(void *ctx)
{
	struct slot *slot = ctx;

	look_post(&slot->parties[0].look);
}

static void slot_wait(struct slot *slot)
{
	timer_arm(&slot->again, time_now() + slot->wait * time_hz());
}

/* Start the VM again. When that fails, it is tried again later: memory that is missing now may be free then. */
static void start_again(struct slot *slot)
{
	if (!slot_start(slot))
		return;
	slot->wait = restart_wait(&slot->restarts, false, 0);
	log_error("%s: could not be started again; the next try is in %u s", slot->config->name, slot->wait);
	slot_wait(slot);
}

/* Prepare a timer whose time is charged to the VM of this slot. */
static void slot_timer(struct slot *slot, struct timer *timer, void (*fire)(void *))
{
	timer_init(timer, fire, slot);
	timer->payer = &slot->turn;
}

/* For good. */
static void *alloc(size_t bytes)
{
	const uint64_t whole = align_up(bytes, PAGE_SIZE);
	void *pages = page_alloc_contiguous((size_t)(whole / PAGE_SIZE));

	slots_bytes += pages ? whole : 0;
	return pages;
}

static bool slot_make_parties(struct slot *slot)
{
	slot->parties = alloc(slot->vcpus * sizeof(slot->parties[0]));
	for (uint32_t i = 0; slot->parties && i < slot->vcpus; i++) {
		slot->parties[i].slot = slot;
		slot->parties[i].look.home = host_processor();
	}
	return slot->parties;
}

/* The limbs on all processors, and behind them the orders of those who take turns there. */
static bool slot_make_limbs(struct slot *slot)
{
	const uint32_t count = host_cpu_count(), places = 2 * slot->vcpus;
	struct turn **orders;

	slot->limbs = alloc(count * (sizeof(slot->limbs[0]) + places * sizeof(*orders)));
	if (!slot->limbs)
		return false;
	orders = (struct turn **)(void *)&slot->limbs[count];
	for (uint32_t i = 0; i < count; i++) {
		slot->limbs[i].slot = slot;
		slot->limbs[i].processor = host_processor_at(i);
		slot->limbs[i].order = orders + i * places;
	}
	return true;
}

static bool slot_init(struct slot *slot, const struct handoff_vm *config)
{
	*slot = (struct slot){ .config = config, .name = config->name };
	slot->vcpus = (uint32_t)max_u64(1, min_u64(config->vcpus, HANDOFF_VCPUS_MAX));	/* the first stands for the VM */
	slot_timer(slot, &slot->again, wait_is_over);
	slot_timer(slot, &slot->silence, look_for_silence);
	slot_timer(slot, &slot->allowed, cap_is_over);
	if (slot_make_parties(slot) && slot_make_limbs(slot))
		return true;
	slot->config = NULL;
	return false;
}

static int refuse(const struct handoff_vm *config, const char *why)
{
	log_error("%s: not started: %s", config->name, why);
	crashed++;
	return -1;
}

int slots_add(const struct handoff_vm *config)
{
	struct processor *const self = host_processor(), *const home = home_choose(config);
	struct run_queue *queue = &self->queue;
	struct slot *slot = slots + slots_ever;

	if (slots_ever == HANDOFF_VMS_MAX)
		return -1;
	if (!home)
		return refuse(config, "no processor of its cpuset is on");
	if (!slot_init(slot, config))
		return refuse(config, "no memory for its vCPUs");
	home_enter(slot);
	limb_start(limb_at(slot, self));
	cap_init(&slot->cap, config->cap, queue->vms.length, queue->mark);
	in_use++;
	slots_ever++;
	work_for(slot);
	for (uint32_t i = 0; i < slot->vcpus; i++)
		slot->parties[i].activities.since = queue->mark;
	if (!slot_start(slot)) {
		look_post(&slot->parties[0].look);
		if (home != self)
			home_give_all(slot, home);
		return 0;
	}
	crashed++;
	slot_leave(slot);
	return -1;
}

/* ---- Ends ---- */

/* What we worked on longest for a VM, without a look at interrupts. */
struct longest {
	uint32_t    ticks;
	const char *what;
};

/* An exit, or a step of what its devices put off, which an exit would have done if it were short. */
static struct longest longest_of(const struct vm *vm)
{
	struct longest longest = { vm->longest_work, vm->longest_work ? "device work" : "none" };

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		const struct longest_exit *exit = &vm->vcpus[i]->longest;

		if (exit->ticks > longest.ticks)
			longest = (struct longest){ exit->ticks, exit_name(exit->exit.reason) };
	}
	return longest;
}

static void report_end(const struct slot *slot)
{
	const struct vm *vm = slot->vm;
	const struct longest longest = longest_of(vm);
	char again[40] = "", nodes[VM_NODES_TEXT];
	static const char *const words[] = {
		[VM_END_SHUTDOWN] = "shut off (shutdown)", [VM_END_REBOOT] = "rebooting",
		[VM_END_CRASHED] = "crashed", [VM_END_DESTROYED] = "shut off (destroyed)",
	};
	uint64_t exits = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		exits += vm->vcpus[i]->exits;
	if (slot->wait != RESTART_NEVER)
		format_buf(again, sizeof(again), "; starts again in %u s", slot->wait);
	vm_log(vm, "%s: %s; %lu exits, the longest %u ticks (%s), %lu KiB RAM touched, %lu KiB of our own%s%s",
	       words[vm->end], vm->end_reason, exits, longest.ticks, longest.what,
	       vm->gpm.populated / 1024, vm->overhead / 1024 + (vm->npt.tables + vm->gpm.dirs) * 4, again, vm_nodes_text(vm, nodes));
	vm_nodes_report(vm);
	end_note_exit(vm->name, longest.what, longest.ticks);
}

/*
 * In how many seconds it starts again, or RESTART_NEVER. A first start that fails would fail again at once. A later
 * one may have found no memory, and that may come back.
 */
static uint32_t wait_after(struct slot *slot)
{
	const struct vm *vm = slot->vm;
	bool has_crashed = vm->end == VM_END_CRASHED;
	uint32_t wait;

	if (vm->state == VM_STARTING)
		return vm->is_restart ? restart_wait(&slot->restarts, false, 0) : RESTART_NEVER;
	if (has_crashed ? slot->config->on_crash != ACTION_RESTART
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
	report_end(slot);
	crashed += slot->vm->end == VM_END_CRASHED && slot->wait == RESTART_NEVER;
	vm_take_down(slot->vm);
}

/* A step of the dump that its end asked for. Registers can be read only while the vCPU is loaded. */
static void dump(struct vm *vm)
{
	vcpu_load(vm->dumped);
	if (!vcpu_dump(vm->dumped))
		vm->dumped = NULL;
}

/* The slot's VM has been freed: wait for its next start, or take leave, which is due at once. */
static void slot_is_empty(struct slot *slot)
{
	slot->vm = NULL;
	timer_disarm(&slot->silence);
	if (slot->wait == RESTART_NEVER)
		slot->is_due = true;
	else
		slot_wait(slot);
}

/* The VM does not start again: say what each of its vCPUs did, one in each piece, and give the slot up. */
static void take_leave(struct slot *slot)
{
	if (slot->reported < slot->vcpus)
		report_activities(slot, slot->reported++);
	else
		slot_leave(slot);
}

/* Its looks and its timers are the party's from now on. */
static void join(struct vcpu *vcpu, struct party *party)
{
	vcpu->look = &party->look;
	vcpu->lapic.timer.payer = &party->turn;
}

/* A piece of its start. Behind the last one the VM runs, and the scheduler looks at its vCPUs. */
static void start_on(struct slot *slot)
{
	struct vm *vm = slot->vm;

	vm_start(vm);
	for (uint32_t i = 0; vm->state == VM_RUNNING && i < vm->vcpu_count; i++)
		join(vm->vcpus[i], &slot->parties[i]);
}

static void do_piece(struct slot *slot)
{
	struct vm *vm = slot->vm;

	if (!vm && slot->wait == RESTART_NEVER)
		take_leave(slot);
	else if (!vm)
		start_again(slot);
	else if (vm->dumped)
		dump(vm);
	else if (vm->end != VM_END_NONE && vm->state != VM_ENDING)
		reap(slot);
	else if (vm->state == VM_STARTING)
		start_on(slot);
	else if (vm_dismantle(vm))
		slot_is_empty(slot);
}

/* A piece is timed like an exit: no interrupt is taken meanwhile. The VM's own last line may have been said by then. */
void slot_work(struct slot *slot)
{
	const char *name = slot->config->name;
	const uint64_t start = time_now();

	do_piece(slot);
	end_note_exit(name, "its start or end", (uint32_t)min_u64(time_now() - start, UINT32_MAX));
}

/* ---- All of them ---- */

bool slots_in_use(void)
{
	return in_use;
}

uint32_t slots_crashed(void)
{
	return crashed;
}

uint64_t slots_kept(void)
{
	return slots_bytes;
}

void slots_init(const char *attach, uint32_t count)
{
	const size_t pages = (size_t)(align_up(HANDOFF_VMS_MAX * sizeof(struct slot), PAGE_SIZE) / PAGE_SIZE);

	slots = page_alloc_contiguous(pages);
	if (!slots)
		panic("no memory for the list of VMs");
	slots_ever = 0;
	in_use = 0;
	slots_bytes = 0;
	attach_name = attach;
	attach_only = !*attach && count == 1;
	crashed = 0;
	console_on_where(ask_all_where);
}
