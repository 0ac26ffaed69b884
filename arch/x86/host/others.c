/* SPDX-License-Identifier: MIT */
/*
 * The other processors from the moment they are on (contracts in others.h and hv/host.h). How they come there is in
 * ap.c. One that has nothing to do is parked: it halts with its interrupts off, and an NMI makes it look at its state.
 */
#include "arch/x86/host/others.h"

#include "arch/x86/host/lapic.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/host.h"
#include "hv/lib/apic.h"
#include "hv/timer.h"

#define STOP_PER_SECOND		5U		/* a backstop, when the machine is about to go off */
#define NMI_PER_SECOND		1000U		/* repeated: an NMI between a look at the state and HLT wakes nobody */

void cpu_set_state(struct cpu *cpu, enum cpu_state state)
{
	__atomic_store_n(&cpu->state, state, __ATOMIC_RELEASE);
}

enum cpu_state cpu_get_state(const struct cpu *cpu)
{
	return (enum cpu_state)__atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE);
}

bool cpu_wait_beyond(const struct cpu *cpu, enum cpu_state last, uint64_t ticks)
{
	uint64_t start = time_now();

	while (cpu_get_state(cpu) <= last && time_now() - start < ticks) {
		if (cpu->in_panic)
			cpu_stop();	/* that processor panics: it reports and switches the machine off */
		cpu_pause();
	}
	return cpu_get_state(cpu) > last;
}

/* ---- On the other processor ---- */

/* Halt until asked to leave; other NMIs do nothing (trap.c). */
void cpu_park(struct cpu *cpu)
{
	while (cpu_get_state(cpu) != CPU_LEAVING)
		cpu_halt();
	virt->cpu_off();
	cpu_set_state(cpu, CPU_GONE);
	cpu_stop();
}

/* ---- On the one that wants something of them ---- */

static bool is_on(const struct cpu *cpu)
{
	return cpu && cpu_get_state(cpu) == CPU_ON;
}

unsigned host_cpu_count(void)
{
	unsigned count = 1;

	for (unsigned i = 1; i < CPUS_MAX; i++)
		count += is_on(cpus[i]);
	return count;
}

static bool stop(struct cpu *cpu)
{
	uint64_t begin = time_now();

	cpu_set_state(cpu, CPU_LEAVING);
	do
		host_lapic_send(cpu->apic_id, ICR_ASSERT | ICR_MODE_OF(APIC_NMI));
	while (!cpu_wait_beyond(cpu, CPU_LEAVING, time_hz() / NMI_PER_SECOND) &&
	       time_now() - begin < time_hz() / STOP_PER_SECOND);
	return cpu_get_state(cpu) == CPU_GONE;
}

unsigned host_stop_others(void)
{
	unsigned count = 0;

	for (unsigned i = 1; i < CPUS_MAX; i++)
		if (is_on(cpus[i]) && cpus[i] != this_cpu())
			count += stop(cpus[i]);
	return count;
}
