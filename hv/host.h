/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The machine we run on, in the words that hv/ needs of it: nothing else of arch/x86/host and arch/x86/hw is seen from
 * here. arch/x86/host implements it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "boot/handoff.h"

/* ---- The start, in the order in which hv_main calls them ---- */

void host_init(void);					/* features and traps of this processor: before anything can fault */
void host_init_memory(const struct handoff *handoff);	/* our own page tables; after page_init */
void host_init_clock(const struct handoff *handoff);	/* the clock, then the timer that is measured against it; interrupts */
void host_report(void);					/* one log line: which processor, what it offers us */
void host_warn(void);					/* log lines about what guests may feel of this processor */
bool host_is_virtual(void);				/* we run in an emulator or on another hypervisor */

/*
 * The other processors: started one after the other, each checked against this one, virtualization switched
 * on, then halted. A processor that cannot be used is named in the log and left out. While one starts, this
 * processor waits and does nothing else. A halted processor touches nothing: it takes NMIs and no other
 * interrupt; an NMI stops it when another processor panics.
 */
void     host_start_others(const struct handoff *handoff);	/* after virt->cpu_on of this one */
unsigned host_cpu_count(void);				/* processors that are on, this one included */

/*
 * Each other processor that is on calls `run`, once, and halts again when that returns. Returns when all have
 * begun. What was written before is seen by them.
 */
void host_run_others(void (*run)(void));

/* What the n-th processor that is on owns: 0 is the boot processor; NULL behind the last. Not while others stop. */
struct processor;
struct processor *host_processor_at(unsigned n);
/*
 * As the log and a cpuset call it: its place in the firmware's list, also of those that are left out; 0 is the boot
 * processor. Below HANDOFF_CPUSET_MAX.
 */
unsigned host_processor_number(struct processor *processor);

/* ---- The end ---- */

/*
 * Before the machine is switched off: all other processors leave VMX operation or switch SVM off. VMX root
 * operation blocks INIT, with which the firmware may stop or start them in ResetSystem. One that still is in what
 * host_run_others gave it is woken, and waited for. Returns how many have left.
 */
unsigned host_stop_others(void);

__attribute__((noreturn)) void host_halt(void);		/* this processor, for ever */

/*
 * Call the firmware's ResetSystem on an identity map; efi_reset_system 0: the one host_init_memory was told. Falls back
 * on the ports of known chip sets. Best after virt->cpu_off, for the reason that host_stop_others has.
 */
__attribute__((noreturn)) void host_power_off(uint64_t efi_reset_system);

/* ---- This processor while it runs ---- */

struct processor *host_processor(void);	/* what it owns (hv/processor.h) */

/*
 * Attention: the scheduler has something to do, so the run loop ends behind the exit that is being handled. Interrupt
 * handlers set it too. Only this processor reads and writes it.
 */
void host_attention_set(void);
void host_attention_look(bool is_due);	/* a vCPU of this processor woke; false: all have been looked at, and no round is needed for that */
void host_attention_clear(void);
bool host_attention_is_set(void);
bool host_attention_is_look(void);	/* a vCPU of this processor woke, and that is all */
bool host_attention_is_timer(void);	/* the interrupt of host_wake_at has come, and nothing else has set it */

/*
 * Interrupt another processor. LOOK: the vCPU that is loaded there looks for requests before its next entry. WAKE: the
 * processor leaves its guest, or its idling, for a round of its scheduler. ASK: an NMI, which reaches the processor whatever
 * it does; if that runs a guest it answers (watch_answer). Of the first two: whoever is about to enter a guest, or to
 * idle, has its interrupts off: then the entry exits again at once, or the processor does not stay halted.
 */
enum host_kick { KICK_LOOK, KICK_WAKE, KICK_ASK };
void host_kick(struct processor *processor, enum host_kick what);

void host_take_interrupts(void);	/* those that are pending; off again afterwards */
void host_idle(void);			/* halt until an interrupt; returns at once when attention is set */
void host_pause(void);			/* between two looks at something that is waited for */

/*
 * Interrupt, and set attention, when the TSC reaches this. TIMER_NEVER asks for none; one armed before may
 * still come, early.
 */
void host_wake_at(uint64_t tsc);

/* ---- What the machine knows ---- */

uint64_t host_rtc_seconds(void);	/* since 1970, by its clock, taken as UTC */

/* This processor's generators of random numbers, the better one first; NULL behind the last. False: none ready now. */
typedef bool host_random_fn(uint64_t *val);
host_random_fn *host_random_source(unsigned n);
