/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The other processors once they run our code: the state in which each is, and what it does until it goes
 * (others.c).
 */
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/host/cpu.h"

/* Who reads a new state also sees what was written before it. */
void           cpu_set_state(struct cpu *cpu, enum cpu_state state);
enum cpu_state cpu_get_state(const struct cpu *cpu);

/* Wait until the processor is in a state behind `last`, or the time is over. False: it is not. */
bool cpu_wait_beyond(const struct cpu *cpu, enum cpu_state last, uint64_t ticks);

bool cpu_may_run(const struct cpu *cpu);	/* the boot processor, and others that are on */

/* In a panic: by NMIs whose handler calls panic_join. Does not wait long for one that does not answer. */
void cpu_stop_others(void);

__attribute__((noreturn)) void cpu_park(struct cpu *cpu);	/* by that processor itself, in CPU_ON */
