/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The block of facts that a processor owns, reached through GS. What processors can do is in features.h, how one is
 * set up in cpu_init.h.
 *
 * `attention` is what interrupt handlers leave for the run loop: a handler sets it, vcpu_run sees
 * it after the exit and returns to the scheduler, which takes the pending interrupts, looks at timers and
 * input, and then clears it; if the timer alone has set it, timers may be all that it looks at. Clearing it last
 * loses nothing, because no interrupt comes in between: they are on only inside host_idle, host_take_interrupts
 * and cpu_open_irq. Only this processor reads and writes it, so plain accesses suffice.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/host/machine_check.h"
#include "hv/processor.h"

struct trap_frame;
struct vcpu;
struct cpu_tables;

enum attention {
	ATTENTION_TIMER = 1,	/* its APIC's timer has fired */
	ATTENTION_OTHER = 2,
	ATTENTION_LOOK = 4,	/* a vCPU that lives here woke: over when the scheduler has looked at all that were to be looked at */
};

struct cpu {
	struct cpu  *self;		/* offset 0: mov %gs:0 */
	uint32_t     index, apic_id;
	uint8_t      attention;		/* bits of enum attention: who wants it */
	bool         in_panic;
	const struct trap_frame *stopped;	/* where another processor's panic stopped it; NULL: none did (panic.c) */
	struct machine_check machine_check;	/* what its banks held at a panic */
	struct vcpu *loaded;		/* whose lazily switched state is in the registers */
	uint32_t     last_vm;		/* id of the VM that ran here last; 0: none (speculation.c) */
	uint64_t     tss_base, gdt_base, idt_base;	/* for the vendors' host state */
	uint16_t     gdt_limit, idt_limit;
	uint64_t     wake_at;		/* TSC at which its APIC's timer fires, TIMER_NEVER when that is stopped (lapic.c) */
	struct processor processor;	/* what hv/ keeps here */
	void        *arch;		/* AMD-V: struct svm_cpu, with the host save area; VT-x needs none */
	void        *current;		/* the vendor's vCPU whose control block the processor works on; NULL: none */
	uint32_t     state;		/* enum cpu_state; others.h */
	const char  *why_left_out;
	struct cpu_tables *tables;	/* GDT, TSS and their stacks (gdt.c); NULL: not there */
	uint8_t     *stack, *stack_top;
};

/*
 * State of each other processor, in an order in which one can wait for what is behind. The boot processor has
 * none: it runs.
 */
enum cpu_state {
	CPU_OFF,		/* not there, not started, or it never answered */
	CPU_RUNNING,		/* our code runs on it, on its way to CPU_ON or CPU_LEFT_OUT */
	CPU_CALLED,		/* as CPU_ON, and there is a function for it to run (host_run_others) */
	CPU_ON,			/* like the boot processor, virtualization on; it halts until somebody wants it */
	CPU_WORKING,		/* in that function; CPU_ON again behind it */
	CPU_LEFT_OUT,		/* it cannot be used; halts for ever */
	CPU_LEAVING,		/* asked to switch virtualization off */
	CPU_GONE,		/* did so; halts for ever */
};

#define CPUS_MAX 64
extern struct cpu *cpus[CPUS_MAX];	/* [0] is the boot processor, then those of the handoff; NULL: none was prepared */

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* this_cpu()->current in one load: it is asked before each access to the control block. */
static inline void *this_cpu_current(void)
{
	void *current;

	__asm__ volatile("mov %%gs:%c1, %0" : "=r"(current) : "i"(offsetof(struct cpu, current)));
	return current;
}

static inline bool cpu_is_boot(void)
{
	return this_cpu()->index == 0;
}

/* Selectors of our GDT. */
#define HOST_CS	0x08
#define HOST_DS	0x10
#define HOST_TR	0x18
