/* SPDX-License-Identifier: MIT */
#pragma once
/* Segments, task state and the stacks that go with them: one set per processor. Selectors are in cpu.h. */
#include <stdbool.h>
#include <stdint.h>

struct cpu;

/* Entries of the interrupt stack table: exceptions that may strike with a broken or foreign stack. */
enum ist { IST_NONE, IST_NMI, IST_DF, IST_MC, IST_COUNT };

/* By the boot processor, memory for another one's block, tables and stacks, for ever; NULL when there is none. */
struct cpu *gdt_create(uint32_t index);
void gdt_init(struct cpu *cpu);		/* GDT, TSS, all segment registers; loses GS, which the caller sets again */
bool gdt_on_stack(uint64_t addr, uint64_t len);		/* wholly inside one of our stacks? */
uint64_t gdt_guard_page(unsigned i);	/* the page below a stack, which must not be mapped; 0 behind the last */
