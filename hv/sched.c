/* SPDX-License-Identifier: MIT */
/* The scheduler (contract in sched.h). One processor, so no lock; `attention` is its only interrupt. */
#include "hv/sched.h"

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/fpu.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "boot/handoff.h"
#include "hv/console.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/page.h"
#include "hv/timer.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define SLICES_PER_SECOND	100U
#define CRASHES_IN_A_ROW	5U	/* a VM that falls this often... */
#define CRASH_SECONDS		10U	/* ...within this time of its start stays down */

static struct vm *vms[HANDOFF_VMS_MAX];
static uint32_t   vm_count, crashed;
static uint32_t   turn;		/* index of the vCPU that ran last, counted over all VMs */
static struct timer slice;	/* ends the turn of a vCPU that has competition */

/* The slice is over when the host's timer interrupts: attention is what ends it, there is nothing to do here. */
static void slice_over(void *ctx)
{
	(void)ctx;
}

static const char *attach_name;
static bool attach_only;	/* no name given and just one VM: that one */

void sched_set_attach(const char *name, uint32_t count)
{
	attach_name = name;
	attach_only = !*name && count == 1;
}

static int add(const struct handoff_vm *config, uint32_t crash_streak)
{
	struct vm *vm = vm_count < HANDOFF_VMS_MAX ? vm_create(config) : NULL;

	if (!vm) {
		crashed++;
		return -1;
	}
	vm->crash_streak = crash_streak;
	vms[vm_count++] = vm;
	if (attach_only || !strcmp(attach_name, vm->name))
		console_attach(vm);
	return vm_start(vm);
}

int sched_add(const struct handoff_vm *config)
{
	return add(config, 0);
}

/* ---- Choosing ---- */

static uint32_t count_vcpus(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < vm_count; i++)
		count += vms[i]->vcpu_count;
	return count;
}

static struct vcpu *nth_vcpu(uint32_t n)
{
	uint32_t i = 0;

	while (n >= vms[i]->vcpu_count)
		n -= vms[i++]->vcpu_count;
	return vms[i]->vcpus[n];
}

static bool is_ready(const struct vcpu *vcpu)
{
	return vcpu->state == VCPU_READY && vm_is_alive(vcpu->vm);
}

/* The next ready vCPU after the one that ran last; *others says whether it has competition. */
static struct vcpu *pick(bool *others)
{
	uint32_t count = count_vcpus(), ready = 0, first = turn;
	struct vcpu *chosen = NULL;

	for (uint32_t i = 1; i <= count; i++) {
		struct vcpu *vcpu = nth_vcpu((first + i) % count);

		if (!is_ready(vcpu))
			continue;
		if (!ready++) {
			chosen = vcpu;
			turn = (first + i) % count;
		}
	}
	*others = ready > 1;
	return chosen;
}

/* ---- Switching: state that stays in the processor across exits changes hands here ---- */

static void switch_to(struct vcpu *vcpu)
{
	struct cpu  *cpu = this_cpu();
	struct vcpu *old = cpu->loaded;

	if (old == vcpu)
		return;
	if (old) {
		virt->swap(old, NULL);	/* first: it may hand us registers that its control block holds */
		old->xcr0 = fpu_live_xcr0();
		fpu_save(old->fpu, old->xcr0, old->xss);
		old->cr2 = read_cr2();
	}
	fpu_restore(vcpu->fpu, vcpu->xcr0, vcpu->xss);
	dr_load(vcpu);
	write_cr2(vcpu->cr2);
	virt->swap(NULL, vcpu);	/* last: it may take them from us */
	cpu->loaded = vcpu;
}

/* ---- Ends ---- */

static void report_end(const struct vm *vm)
{
	static const char *const words[] = {
		[VM_END_SHUTDOWN] = "shut off (shutdown)", [VM_END_REBOOT] = "rebooting",
		[VM_END_CRASHED] = "crashed", [VM_END_DESTROYED] = "shut off (destroyed)",
	};
	uint64_t exits = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		exits += trace_total(&vm->vcpus[i]->trace);
	vm_log(vm, "%s: %s; %lu exits, %lu KiB RAM touched, %lu KiB of our own", words[vm->end], vm->end_reason,
	       exits, vm->gpm.populated / 1024, vm->overhead / 1024 + vm->npt.tables * 4);
}

/* One that could not be started would fail again at once; so would one that crashes at once, again and again. */
static bool wants_restart(struct vm *vm)
{
	if (vm->end == VM_END_REBOOT)
		return vm->config->on_reboot == ACTION_RESTART;
	if (vm->end != VM_END_CRASHED || vm->config->on_crash != ACTION_RESTART || vm->state != VM_RUNNING)
		return false;
	vm->crash_streak = time_now() - vm->start_tsc < CRASH_SECONDS * time_hz() ? vm->crash_streak + 1 : 0;
	if (vm->crash_streak < CRASHES_IN_A_ROW)
		return true;
	log_error("%s: crashed %u times in a row, each within %u s of its start: not started again", vm->name,
		  CRASHES_IN_A_ROW, CRASH_SECONDS);
	return false;
}

/* Take ended VMs off the list; those that want it start again from their images. */
static void reap(void)
{
	for (uint32_t i = 0; i < vm_count; i++) {
		struct vm *vm = vms[i];
		const struct handoff_vm *config = vm->config;
		uint32_t streak;
		bool again;

		if (vm->end == VM_END_NONE)
			continue;
		report_end(vm);
		again = wants_restart(vm);
		streak = vm->crash_streak;
		crashed += vm->end == VM_END_CRASHED && !again;
		vm_destroy(vm);
		vms[i--] = vms[--vm_count];
		turn = 0;
		if (again)
			(void)add(config, streak);
	}
}

/* ---- The loop ---- */

/*
 * A processor leaves the guest for an interrupt that came while we ran. Bochs' do not while the guest has IF clear,
 * so what is pending is let in here as well.
 */
static void do_host_work(void)
{
	cpu_open_irq();
	this_cpu()->attention = false;	/* before looking, so that what comes meanwhile is seen next time */
	timer_run_due();
	host_lapic_arm(timer_next());	/* it may have fired early, for a deadline that is gone */
	console_poll();
}

/*
 * A turn ends by the back end's own timer, which counts only while the guest runs, or else by ours. One that
 * exits for another reason and is picked again (nobody else was ready) starts a new turn.
 */
static void start_turn(struct vcpu *vcpu, bool has_others)
{
	uint64_t ticks = time_hz() / SLICES_PER_SECOND;

	if (!virt->limit_turn(vcpu, has_others ? ticks : TIMER_NEVER) && has_others)
		timer_arm(&slice, time_now() + ticks);
	else
		timer_disarm(&slice);
}

static void run_one(struct vcpu *vcpu, bool has_others)
{
	switch_to(vcpu);
	start_turn(vcpu, has_others);
	vcpu_run(vcpu);
}

uint32_t sched_run(void)
{
	timer_init(&slice, slice_over, NULL);
	timer_set_hook(host_lapic_arm);
	for (;;) {
		struct vcpu *vcpu;
		bool has_others;

		do_host_work();
		reap();
		if (!vm_count)
			return crashed;
		vcpu = pick(&has_others);
		if (vcpu) {
			run_one(vcpu, has_others);
		} else if (page_idle_work()) {
			cpu_open_irq();		/* a little at a time, so that nobody waits for it */
		} else {
			timer_disarm(&slice);
			cpu_idle();
		}
	}
}
