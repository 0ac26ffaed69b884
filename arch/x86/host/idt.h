/* SPDX-License-Identifier: MIT */
#pragma once
/* The interrupt descriptor table: the same for every processor. */
struct cpu;

void idt_init(void);		/* fills it in, once */
void idt_load(struct cpu *cpu);
