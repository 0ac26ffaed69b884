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
#include "arch/x86/host/others.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/host/tsc_agree.h"
#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/msr.h"
#include "arch/x86/virt/backend.h"
#include "hv/addr.h"
#include "hv/lib/apic.h"
#include "hv/lib/format.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"
#include "hv/timer.h"

#define LOW_START	PAGE_SIZE		/* page 0 belongs to old firmware */
#define LOW_END		0xa0000ULL		/* a SIPI reaches 1 MiB; from here on there is no RAM */

#define INIT_PER_SECOND		100U		/* 10 ms between INIT and SIPI */
#define SIPI_PER_SECOND		5000U		/* 200 us before the second */
#define ANSWER_SECONDS		5U		/* a backstop: it takes milliseconds */

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

/* ---- On the other processor ---- */

/* NULL when its TSC may be the same as the boot processor's, which answers meanwhile. */
static const char *compare_clocks(void)
{
	static char text[96];	/* one processor starts at a time */
	uint64_t distance = tsc_ask();

	if (!distance)
		return NULL;
	format_buf(text, sizeof(text), "its time-stamp counter differs from the boot processor's by %lu ticks", distance);
	return text;
}

/* NULL when this processor can do what the boot processor can, and has virtualization switched on. */
static const char *join(const struct cpu *cpu)
{
	const char *why_not = compare_clocks();

	if (!why_not)
		why_not = cpu_join();
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

__attribute__((noreturn)) void ap_main(struct cpu *cpu);	/* from ap_start.asm */

void ap_main(struct cpu *cpu)
{
	cpu_init_other(cpu);
	cpu_set_state(cpu, CPU_RUNNING);
	cpu->why_left_out = join(cpu);
	if (cpu->why_left_out) {
		cpu_set_state(cpu, CPU_LEFT_OUT);
		cpu_stop();
	}
	cpu_set_state(cpu, CPU_ON);
	cpu_park(cpu);
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
	if (!cpu_wait_beyond(cpu, CPU_OFF, time_hz() / SIPI_PER_SECOND))
		host_lapic_send(cpu->apic_id, sipi);
}

/* NULL when the processor is on; else why it is left out. */
static const char *start(uint32_t index, uint32_t apic_id, struct low_pages *low)
{
	const uint64_t ticks = ANSWER_SECONDS * time_hz();
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
	tsc_prepare();
	send_start(cpu, low);
	if (cpu_wait_beyond(cpu, CPU_OFF, ticks) && tsc_answer(ticks) && cpu_wait_beyond(cpu, CPU_RUNNING, ticks))
		return cpu->why_left_out;
	if (cpu->in_panic)
		cpu_stop();	/* it reports; tsc_answer does not look at that */
	host_lapic_send(cpu->apic_id, ICR_ASSERT | ICR_MODE_OF(APIC_INIT));
	return cpu_get_state(cpu) == CPU_OFF ? "it does not answer" : "it stopped on its way";
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
