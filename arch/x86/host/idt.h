/* SPDX-License-Identifier: MIT */
#pragma once
/* The interrupt descriptor table: the same for every processor. */
struct cpu;

void idt_init(struct cpu *cpu);
