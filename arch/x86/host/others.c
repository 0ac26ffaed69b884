/* SPDX-License-Identifier: MIT */
/*
 * The other processors from the moment they are on (contracts in others.h and hv/host.h). How they come there
 * is in ap.c. One that has nothing to do is parked: it halts with its interrupts off, and an NMI makes it
 * look at its state. When the boot processor runs guests they do as well, in one call of a function
 * (host_run_others), with a way back:
 *
 *	CPU_ON    ->  CPU_CALLED    by the boot processor, with NMIs until it is seen
 *	CPU_CALLED -> CPU_WORKING -> CPU_ON    by the other one, around the call
 *	CPU_ON    ->  CPU_LEAVING   by the one that switches the machine off, with NMIs
 *	CPU_LEAVING -> CPU_GONE     by the other one
 */
#include "arch/x86/host/others.h"

#include "arch/x86/host/lapic.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/virt/backend.h"
#include "hv/host.h"
#include "hv/lib/apic.h"
#include "hv/lib/util.h"
#include "hv/panic.h"
#include "hv/timer.h"

#define RETURN_SECONDS		5U		/* a backstop: it takes milliseconds */
#define STOP_PER_SECOND		5U		/* likewise, when the machine is about to go off */
#define NMI_PER_SECOND		1000U		/* repeated: an NMI between a look at the state and HLT wakes nobody */

static void (*work)(void);	/* written before any state becomes CPU_CALLED */

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

static void do_work(struct cpu *cpu)
{
	cpu_set_state(cpu, CPU_WORKING);
	work();
	cpu_set_state(cpu, CPU_ON);
}

/* Halt until called, and in the end asked to leave; other NMIs do nothing (trap.c). */
void cpu_park(struct cpu *cpu)
{
	enum cpu_state state;

	while ((state = cpu_get_state(cpu)) != CPU_LEAVING) {
		if (state == CPU_CALLED)
			do_work(cpu);
		else
			cpu_halt();
	}
	virt->cpu_off();
	cpu_set_state(cpu, CPU_GONE);
	cpu_stop();
}

/* ---- On the one that wants something of them ---- */

static bool is_on(const struct cpu *cpu)
{
	enum cpu_state state = cpu ? cpu_get_state(cpu) : CPU_OFF;

	return state == CPU_ON || state == CPU_CALLED || state == CPU_WORKING;
}

unsigned host_cpu_count(void)
{
	unsigned count = 1;

	for (unsigned i = 1; i < CPUS_MAX; i++)
		count += is_on(cpus[i]);
	return count;
}

bool cpu_may_run(const struct cpu *cpu)
{
	return cpu == cpus[0] || is_on(cpu);
}

struct processor *host_processor_at(unsigned n)
{
	for (unsigned i = 0; i < CPUS_MAX; i++)
		if (cpu_may_run(cpus[i]) && n-- == 0)
			return &cpus[i]->processor;
	return NULL;
}

_Static_assert(CPUS_MAX <= HANDOFF_CPUSET_MAX, "a cpuset has a bit for each processor");

unsigned host_processor_number(struct processor *processor)
{
	return container_of(processor, struct cpu, processor)->index;
}

static bool is_meant(const struct cpu *cpu)
{
	return cpu != this_cpu() && cpu_may_run(cpu);
}

/*
 * One that panics on its way to be on needs no NMI: the boot processor looks at it (cpu_wait_beyond), the
 * others halt.
 */
void cpu_stop_others(void)
{
	const uint64_t begin = time_now();

	if (!cpu_may_run(this_cpu()))
		return;
	for (unsigned i = 0; i < CPUS_MAX; i++)
		if (is_meant(cpus[i]))
			host_lapic_send(cpus[i]->apic_id, ICR_ASSERT | ICR_MODE_OF(APIC_NMI));
	for (unsigned i = 0; i < CPUS_MAX; i++)
		while (is_meant(cpus[i]) && cpu_get_state(cpus[i]) != CPU_GONE && time_now() - begin < time_hz() / STOP_PER_SECOND)
			cpu_pause();
}

/* Change the state of one that halts, and wake it until it has seen that. False: it has not, after so many ticks. */
static bool call(struct cpu *cpu, enum cpu_state state, uint64_t ticks)
{
	uint64_t begin = time_now();

	cpu_set_state(cpu, state);
	do
		host_lapic_send(cpu->apic_id, ICR_ASSERT | ICR_MODE_OF(APIC_NMI));
	while (!cpu_wait_beyond(cpu, state, time_hz() / NMI_PER_SECOND) && time_now() - begin < ticks);
	return cpu_get_state(cpu) > state;
}

void host_run_others(void (*run)(void))
{
	work = run;
	for (unsigned i = 1; i < CPUS_MAX; i++)
		if (is_on(cpus[i]) && !call(cpus[i], CPU_CALLED, RETURN_SECONDS * time_hz()))
			panic("processor %u halts and does not wake", i);
}

/*
 * What it runs comes to an end because nothing is left to do, and it may idle: it is woken to see that. If it does not
 * return it is left alone.
 */
static bool wait_for_return(struct cpu *cpu)
{
	uint64_t begin = time_now();

	if (cpu_get_state(cpu) == CPU_WORKING)
		host_kick(&cpu->processor, KICK_WAKE);
	while (cpu_get_state(cpu) == CPU_WORKING && time_now() - begin < RETURN_SECONDS * time_hz())
		cpu_pause();
	return cpu_get_state(cpu) == CPU_ON;
}

unsigned host_stop_others(void)
{
	unsigned count = 0;

	for (unsigned i = 1; i < CPUS_MAX; i++)
		if (is_on(cpus[i]) && cpus[i] != this_cpu() && wait_for_return(cpus[i]))
			count += call(cpus[i], CPU_LEAVING, time_hz() / STOP_PER_SECOND);
	return count;
}
