/* SPDX-License-Identifier: MIT */
/*
 * The processor's half of a panic (contract in hv/panic.h): who reports, what the registers hold, how the machine
 * goes off. No file includes more than hv/panic.h to panic, so the log and the console need nothing of this room.
 */
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/machine_check.h"
#include "arch/x86/host/others.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/trap.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/console.h"
#include "hv/host.h"
#include "hv/lock.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/*
 * Only the first processor that panics reports, and it stops all others before it says a word. A machine
 * check may reach all of them at once, and two reports mixed on one serial line cannot be read.
 */
static struct cpu *reporter;

bool panic_claim(void)
{
	struct cpu *self = this_cpu(), *first = NULL;

	cpu_cli();
	if (!__atomic_compare_exchange_n(&reporter, &first, self, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) && first != self)
		cpu_stop();	/* the reporter's NMI comes */
	if (self->in_panic)
		return false;
	self->in_panic = true;
	machine_check_note(&self->machine_check);
	cpu_stop_others();
	return true;
}

/*
 * It may have struck anywhere: between an exit and the next entry, or with a lock held. So it takes no lock. It leaves
 * VMX operation because the firmware is called at the end (host_stop_others says why).
 */
void panic_join(const struct trap_frame *frame)
{
	struct cpu *self = this_cpu(), *first = __atomic_load_n(&reporter, __ATOMIC_ACQUIRE);

	if (!first || first == self)
		return;
	machine_check_note(&self->machine_check);
	self->stopped = frame;	/* it stays on this processor's stack */
	virt->cpu_off();
	cpu_set_state(self, CPU_GONE);
	cpu_stop();
}

void panic_find_reader(void)
{
	static const struct handoff_framebuffer no_screen;

	if (!log_has_sink())
		console_init(&no_screen);
}

static void log_running(const struct cpu *cpu, const char *how)
{
	const struct vcpu *vcpu = cpu->loaded;

	if (!vcpu || !vcpu->vm)
		log_say("processor %u (APIC ID %u)%s, no vCPU loaded", cpu->index, cpu->apic_id, how);
	else
		log_say("processor %u (APIC ID %u)%s, vCPU %u of VM \"%s\" loaded, last exit %s at rip 0x%llx", cpu->index,
			cpu->apic_id, how, vcpu->id, vcpu->vm->name, exit_name(vcpu->exit.reason), (unsigned long long)vcpu->exit.rip);
}

static void log_processor(const struct cpu *cpu, const struct trap_frame *frame, const char *how)
{
	log_running(cpu, how);
	if (LOCKS_ARE_CHECKED)
		lock_check_log(&cpu->processor.locks);
	machine_check_log(&cpu->machine_check);
	if (frame)
		trap_log_registers(frame);
}

void panic_log_machine(const struct trap_frame *frame)
{
	log_processor(this_cpu(), frame, "");
	trap_log_control();
}

/* Those that run, or ran until the panic. Their frames stay where they are: none of them goes on. */
void panic_log_others(void)
{
	for (unsigned i = 0; i < CPUS_MAX; i++) {
		const struct cpu *cpu = cpus[i];

		if (!cpu || cpu == this_cpu())
			continue;
		if (cpu->stopped) {
			log_processor(cpu, cpu->stopped, "");
			panic_log_stack(cpu->stopped->rip, cpu->stopped->rbp);
		} else if (cpu_may_run(cpu)) {
			log_processor(cpu, NULL, " does not answer");
		}
	}
}

void panic_origin(const struct trap_frame *frame, uint64_t *rip, uint64_t *rbp)
{
	*rip = frame->rip;
	*rbp = frame->rbp;
}

bool panic_on_stack(uint64_t addr, size_t len)
{
	return gdt_on_stack(addr, len);
}

void panic_stop(bool stay_on)
{
	if (stay_on)
		cpu_stop();
	host_power_off(0);
}
