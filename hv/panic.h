/* SPDX-License-Identifier: MIT */
#pragma once
/* The hypervisor has a bug or the machine is broken: report and stop. Never for anything that a guest can cause. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trap_frame;

/* trapeze.conf, when_done = halt: leave the report on the screen instead of switching off. */
void panic_set_stay_on(bool stay_on);

__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *fmt, ...);
/* The same with the registers of the exception that brought us here. */
__attribute__((noreturn, format(printf, 2, 3))) void panic_trap(const struct trap_frame *frame, const char *fmt, ...);

/*
 * The processor's half of the report, which arch/x86/host/panic.c has. panic_claim stops all other
 * processors, or this one for ever if another one reports already; it is false for a panic that comes out of
 * the report itself.
 */
bool panic_claim(void);
void panic_join(const struct trap_frame *frame);	/* by the NMI's handler: stops this processor if another one panics */
void panic_find_reader(void);				/* a sink for the log, if it has none yet */
void panic_log_machine(const struct trap_frame *frame);	/* who we are and all registers; frame may be NULL */
void panic_log_others(void);				/* the same of all others, and where each of them was */
void panic_log_stack(uint64_t rip, uint64_t rbp);	/* back here: a place, and the calls that led to it */
void panic_origin(const struct trap_frame *frame, uint64_t *rip, uint64_t *rbp);	/* where the backtrace begins */
bool panic_on_stack(uint64_t addr, size_t len);		/* within one of our own stacks */
__attribute__((noreturn)) void panic_stop(bool stay_on);
