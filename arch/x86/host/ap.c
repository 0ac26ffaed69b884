/* SPDX-License-Identifier: MIT */
/*
 * Starting the other processors: INIT, then one or two SIPIs with the page of ap_start.asm. A started
 * processor reports through its struct cpu and never writes to the log. SDM vol. 3, 9.4 "Multiple-Processor
 * (MP) Initialization" with "MP Initialization Protocol Algorithm for MP Systems"; APM vol. 2, 16.5
 * "Interprocessor Interrupts".
 *
 * A processor that does not answer in time is sent another INIT, so that it cannot start late and use the
 * stack that is meant for the next processor. After its VMXON a processor ignores INIT, but by then it has
 * memory of its own and uses nothing that is shared.
 */
#include "hv/host.h"

#include <stdbool.h>
#include <stddef.h>

#include "arch/x86/host/cpu.h"
#include "arch/x86/host/cpu_init.h"
#include "arch/x86/host/features.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "hv/addr.h"
#include "hv/lib/apic.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/timer.h"

#define LOW_START	PAGE_SIZE		/* page 0 belongs to old firmware */
#define LOW_END		0xa0000ULL		/* a SIPI reaches 1 MiB; from here on there is no RAM */

#define INIT_PER_SECOND		100U		/* 10 ms between INIT and SIPI */
#define SIPI_PER_SECOND		5000U		/* 200 us before the second */
#define ANSWER_SECONDS		5U		/* a backstop: it takes milliseconds */
#define STOP_PER_SECOND		5U		/* likewise, when the machine is about to go off */
#define NMI_PER_SECOND		1000U		/* repeated: an NMI between a look at the state and HLT wakes nobody */

/* ap_start.asm, in this order */
struct start_params {
	uint64_t stack, cpu;
	uint32_t cr3, cr4, efer, needs;
};

extern const uint8_t ap_start[], ap_start_params[], ap_start_end[];

/*
 * Two pages below 1 MiB: code, and the top page table, which must lie below 4 GiB for CR3 is written in
 * 32-bit mode.
 */
struct low_pages {
	uint8_t  code[PAGE_SIZE];
	uint64_t top_table[PAGE_SIZE / sizeof(uint64_t)];
};

static uint64_t boot_pat;	/* IA32_PAT of the boot processor */

/* ---- What both sides see ---- */

/* A release store: who reads the new state with get_state also sees what this processor wrote before. */
static void set_state(struct cpu *cpu, enum cpu_state state)
{
	__atomic_store_n(&cpu->state, state, __ATOMIC_RELEASE);
}

static enum cpu_state get_state(const struct cpu *cpu)
{
	return (enum cpu_state)__atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE);
}

/* ---- On the other processor ---- */

/* NULL when this processor can do what the boot processor can, and has virtualization switched on. */
static const char *join(const struct cpu *cpu)
{
	const char *why_not = cpu_join();

	if (why_not)
		return why_not;
	wrmsr(MSR_IA32_PAT, boot_pat);
	if (!host_lapic_init_other())
		return "its local APIC is in another mode than the boot processor's";
	if (host_lapic_id() != cpu->apic_id)
		return "it has another APIC ID than the firmware says";
	if (!virt->supported(&why_not))
		return why_not;
	virt->cpu_on();
	return NULL;
}

/* Halt until asked to leave; other NMIs do nothing (trap.c). */
__attribute__((noreturn)) static void park(struct cpu *cpu)
{
	while (get_state(cpu) != CPU_LEAVING)
		cpu_halt();
	virt->cpu_off();
	set_state(cpu, CPU_GONE);
	cpu_stop();
}

__attribute__((noreturn)) void ap_main(struct cpu *cpu);	/* from ap_start.asm */

void ap_main(struct cpu *cpu)
{
	cpu_init_other(cpu);
	set_state(cpu, CPU_RUNNING);
	cpu->why_left_out = join(cpu);
	if (cpu->why_left_out) {
		set_state(cpu, CPU_LEFT_OUT);
		cpu_stop();
	}
	set_state(cpu, CPU_ON);
	park(cpu);
}

/* ---- On the boot processor ---- */

/* The page allocator manages no memory below 1 MiB, so pages that the firmware left free there are still free. */
static struct low_pages *find_low_pages(const struct handoff *handoff)
{
	for (uint32_t i = 0; i < handoff->region_count; i++) {
		const struct handoff_region *region = &handoff->regions[i];
		uint64_t start = max_u64(align_up(region->start, PAGE_SIZE), LOW_START);
		uint64_t end = min_u64(align_down(region->start + region->length, PAGE_SIZE), LOW_END);

		if (region->kind == REGION_FREE && start < end && end - start >= sizeof(struct low_pages))
			return hpa_ptr(hpa(end - sizeof(struct low_pages)));
	}
	return NULL;
}

static struct start_params *params_of(struct low_pages *low)
{
	return (struct start_params *)(void *)(low->code + (ap_start_params - ap_start));
}

static void prepare(struct low_pages *low)
{
	memcpy(low->code, ap_start, (size_t)(ap_start_end - ap_start));
	paging_make_identity(low->top_table);
	*params_of(low) = (struct start_params){
		.cr3 = (uint32_t)ptr_hpa(low->top_table).raw,
		.cr4 = (uint32_t)(read_cr4() & CR4_PAE),
		.efer = (uint32_t)(rdmsr(MSR_EFER) & (EFER_LME | EFER_NXE)),
		.needs = (uint32_t)(CPUIDE1_D_LM | (cpu_features.has_nx ? CPUIDE1_D_NX : 0)),
	};
	boot_pat = rdmsr(MSR_IA32_PAT);
}

/* Wait until the processor has left the state `from`, or the time is over. */
static bool wait_beyond(const struct cpu *cpu, enum cpu_state from, uint64_t ticks)
{
	uint64_t start = time_now();

	while (get_state(cpu) <= from && time_now() - start < ticks) {
		if (cpu->in_panic)
			cpu_stop();	/* that processor panics: it reports and switches the machine off */
		cpu_pause();
	}
	return get_state(cpu) > from;
}

static void pause_for(uint64_t ticks)
{
	uint64_t start = time_now();

	while (time_now() - start < ticks)
		cpu_pause();
}

/* The second SIPI is for processors that missed the first; one that runs ignores it. */
static void send_start(const struct cpu *cpu, const struct low_pages *low)
{
	uint64_t sipi = ICR_ASSERT | ICR_MODE_OF(APIC_SIPI) | ptr_hpa(low->code).raw >> PAGE_SHIFT;

	host_lapic_send(cpu->apic_id, ICR_ASSERT | ICR_MODE_OF(APIC_INIT));
	pause_for(time_hz() / INIT_PER_SECOND);
	host_lapic_send(cpu->apic_id, sipi);
	if (!wait_beyond(cpu, CPU_OFF, time_hz() / SIPI_PER_SECOND))
		host_lapic_send(cpu->apic_id, sipi);
}

/* NULL when the processor is on; else why it is left out. */
static const char *start(uint32_t index, uint32_t apic_id, struct low_pages *low)
{
	struct start_params *params = params_of(low);
	struct cpu *cpu;

	if (!host_lapic_reaches(apic_id))
		return "its APIC ID can only be reached with x2APIC";
	cpu = gdt_create(index);
	if (!cpu)
		return "no memory for its stacks";
	cpu->apic_id = apic_id;
	cpus[index] = cpu;
	params->stack = (uint64_t)(uintptr_t)cpu->stack_top;
	params->cpu = (uint64_t)(uintptr_t)cpu;
	send_start(cpu, low);
	if (wait_beyond(cpu, CPU_RUNNING, ANSWER_SECONDS * time_hz()))
		return cpu->why_left_out;
	host_lapic_send(cpu->apic_id, ICR_ASSERT | ICR_MODE_OF(APIC_INIT));
	return get_state(cpu) == CPU_OFF ? "it does not answer" : "it stopped on its way";
}

static void start_listed(const struct handoff *handoff, struct low_pages *low)
{
	uint32_t count = (uint32_t)min_u64(handoff->cpu_count, CPUS_MAX);

	for (uint32_t i = 1; i < count; i++) {
		const uint32_t apic_id = handoff->cpus[i].apic_id;
		const char *why_not = start(i, apic_id, low);

		if (why_not)
			log_warn("TZ-W022 processor %u (APIC ID %u) is left out: %s", i, apic_id, why_not);
		else
			log_debug("processor %u (APIC ID %u) is on", i, apic_id);
	}
}

void host_start_others(const struct handoff *handoff)
{
	struct low_pages *low;

	cpus[0]->apic_id = host_lapic_id();
	if (handoff->cpu_count <= 1)
		return;
	if (handoff->cpu_count > CPUS_MAX)
		log_warn("TZ-W024 %u processors are listed: those after the first %u are left out",
			 handoff->cpu_count, CPUS_MAX);
	low = find_low_pages(handoff);
	if (!low) {
		log_warn("TZ-W023 no free memory below 1 MiB to start other processors in: one is used");
		return;
	}
	prepare(low);
	start_listed(handoff, low);
	memset(low, 0, sizeof(*low));	/* nothing is left that maps memory at its own address and executable */
}

static bool is_on(const struct cpu *cpu)
{
	return cpu && get_state(cpu) == CPU_ON;
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

	set_state(cpu, CPU_LEAVING);
	do
		host_lapic_send(cpu->apic_id, ICR_ASSERT | ICR_MODE_OF(APIC_NMI));
	while (!wait_beyond(cpu, CPU_LEAVING, time_hz() / NMI_PER_SECOND) &&
	       time_now() - begin < time_hz() / STOP_PER_SECOND);
	return get_state(cpu) == CPU_GONE;
}

unsigned host_stop_others(void)
{
	unsigned count = 0;

	for (unsigned i = 1; i < CPUS_MAX; i++)
		if (is_on(cpus[i]) && cpus[i] != this_cpu())
			count += stop(cpus[i]);
	return count;
}
