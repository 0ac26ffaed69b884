/* SPDX-License-Identifier: MIT */
/*
 * The processor's half of a panic (contract in hv/panic.h): who reports, what the registers hold, how the machine
 * goes off. No file includes more than hv/panic.h to panic, so the log and the console need nothing of this room.
 */
#include "arch/x86/host/cpu.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/trap.h"
#include "arch/x86/hw/insn.h"
#include "hv/console.h"
#include "hv/host.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/*
 * Only the first processor that panics reports. A machine check may reach all of them at once, and two
 * reports mixed on one serial line cannot be read.
 */
static void stop_if_second(void)
{
	static struct cpu *reporter;
	struct cpu *nobody = NULL;

	if (!__atomic_compare_exchange_n(&reporter, &nobody, this_cpu(), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
	    nobody != this_cpu())
		cpu_stop();
}

bool panic_claim(void)
{
	static const struct handoff_framebuffer no_screen;

	cpu_cli();
	if (!log_has_sink())
		console_init(&no_screen);
	stop_if_second();
	if (this_cpu()->in_panic)
		return false;
	this_cpu()->in_panic = true;
	return true;
}

static void log_running(void)
{
	const struct vcpu *vcpu = this_cpu()->loaded;

	if (!vcpu || !vcpu->vm)
		log_say("processor %u (APIC ID %u), no vCPU loaded", this_cpu()->index, this_cpu()->apic_id);
	else
		log_say("processor %u (APIC ID %u), vCPU %u of VM \"%s\" loaded, last exit at rip 0x%llx",
			this_cpu()->index, this_cpu()->apic_id, vcpu->id, vcpu->vm->name,
			(unsigned long long)vcpu->exit.rip);
}

void panic_log_machine(const struct trap_frame *frame)
{
	log_running();
	if (frame)
		trap_log_registers(frame);
	trap_log_control();
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
	(void)host_stop_others();
	host_power_off(0);
}
