/* SPDX-License-Identifier: MIT */
#pragma once
/* A processor is made ours: its tables, its block of facts, its control registers. */
#include <stdint.h>

struct cpu;

void cpu_early(void);	/* from start.asm, on boot's page tables: hpa_ptr and this_cpu work afterwards */
void cpu_init_boot(uint32_t apic_id);	/* features, GDT, TSS, IDT, GS, and CR0, CR4, EFER, XCR0 as we want them */
void cpu_init_other(struct cpu *cpu);	/* on another processor, with gdt_create done: CR3, GDT, TSS, IDT, GS */
const char *cpu_join(void);		/* then CR0, CR4, EFER, XCR0; or what it lacks that the boot processor has */

void cpu_set_breakpoints(const uint64_t addr[4]);	/* DR0 to DR3; DR7 has them enabled in a guest only */
