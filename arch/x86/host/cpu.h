/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The processor we run on: what it can do, and the block of facts it owns (reached through GS).
 *
 * `attention` is the one flag between interrupt handlers and the run loop: a handler sets it, vcpu_run sees
 * it after the exit and returns to the scheduler, which takes the pending interrupts, looks at timers and
 * input, and then clears it. Clearing it last loses nothing, because no interrupt comes in between: they are
 * on only inside host_idle, host_take_interrupts and cpu_open_irq. Only this processor reads and writes the
 * flag, so plain accesses suffice.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vcpu;
struct cpu_tables;

struct cpu {
	struct cpu  *self;		/* offset 0: mov %gs:0 */
	uint32_t     index, apic_id;
	bool         attention;
	bool         in_panic;
	struct vcpu *loaded;		/* whose lazily switched state is in the registers */
	uint32_t     last_vm;		/* id of the VM that ran here last; 0: none (speculation.c) */
	uint64_t     tss_base, gdt_base, idt_base;	/* for the vendors' host state */
	uint16_t     gdt_limit, idt_limit;
	void        *arch;		/* VMXON region, host save area */
	void        *current;		/* the vendor's vCPU whose control block the processor works on; NULL: none */
	uint32_t     state;		/* enum cpu_state; only ap.c looks at it */
	const char  *why_left_out;
	struct cpu_tables *tables;	/* GDT, TSS and their stacks (gdt.c); NULL: not there */
	uint8_t     *stack, *stack_top;
};

/* State of each other processor. The boot processor has none: it runs. */
enum cpu_state {
	CPU_OFF,		/* not there, not started, or it never answered */
	CPU_RUNNING,		/* our code runs on it, on its way to one of the next two */
	CPU_ON,			/* like the boot processor, virtualization on; it halts until somebody wants it */
	CPU_LEFT_OUT,		/* it cannot be used; halts for ever */
	CPU_LEAVING,		/* asked to switch virtualization off */
	CPU_GONE,		/* did so; halts for ever */
};

#define CPUS_MAX 64
extern struct cpu cpus[CPUS_MAX];	/* [0] is the boot processor, then those of the handoff */

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

/* Host features we look up more than once, from CPUID; cpu_init_boot fills it in. */
struct cpu_features {
	char     vendor[13], brand[49];
	char     hypervisor[13];	/* whose guest we are, as it calls itself; "" when we are nobody's */
	bool     is_intel, is_amd;
	bool     has_vmx, has_svm, has_x2apic, has_tsc_deadline, has_xsave, has_xsaves, has_avx, has_avx512;
	bool     has_rdrand, has_rdseed, has_rdtscp, has_invpcid, has_pcid, has_nx, has_1g, has_smep, has_smap;
	bool     has_umip, has_fsgsbase, has_hypervisor, has_invariant_tsc, has_pku, has_hybrid;
	bool     has_arch_capabilities, has_page_size_erratum;
	bool     has_spec_ctrl, has_ibpb, has_ibrs, has_ibrs_always, has_auto_ibrs, has_l1d_flush, has_md_clear;
	uint64_t arch_capabilities;	/* the MSR; 0 where there is none */
	uint8_t  phys_bits;
	uint32_t max_leaf, max_ext_leaf;
	uint32_t xsave_size;		/* bytes for everything in xcr0_all */
	uint64_t xcr0_all;		/* XCR0 bits this processor supports */
};
extern struct cpu_features cpu_features;

void cpu_early(void);	/* from start.asm, on boot's page tables: hpa_ptr and this_cpu work afterwards */
void cpu_init_boot(uint32_t apic_id);	/* features, GDT, TSS, IDT, GS, and CR0, CR4, EFER, XCR0 as we want them */
void cpu_init_other(struct cpu *cpu);	/* on another processor, with gdt_create done: CR3, GDT, TSS, IDT, GS */
const char *cpu_join(void);		/* then CR0, CR4, EFER, XCR0; or what it lacks that the boot processor has */

/* Handlers run with interrupts off and must EOI nothing: cpu_dispatch_interrupt does. */
void cpu_set_interrupt(uint8_t vector, void (*handler)(uint8_t vector));
void cpu_dispatch_interrupt(uint8_t vector);	/* by trap.c and by "acknowledge interrupt on exit"; sends the EOI */
void cpu_set_breakpoints(const uint64_t addr[4]);	/* DR0 to DR3; DR7 has them enabled in a guest only */
