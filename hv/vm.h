/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A virtual machine: memory, machine (buses, controllers, devices), processors, and why it ended. How it comes and goes
 * is in vm_life.h.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt/npt.h"
#include "boot/handoff.h"
#include "hv/account.h"
#include "hv/bus.h"
#include "hv/gpm.h"
#include "hv/lock.h"
#include "hv/vm_clock.h"
#include "hv/work.h"

#define VM_VCPUS_MAX	HANDOFF_VCPUS_MAX

struct look;
struct machine;		/* hv/machine.h: controllers and devices */
struct vcpu;
struct cpuid_table;
struct vm_start;		/* hv/vm_start.c */

/* The first and the last are work that the VM does in turns of its own: vm_start and vm_dismantle (vm_life.h). */
enum vm_state { VM_STARTING, VM_RUNNING, VM_ENDING };

/* Why it stopped, in libvirt's words where it has one. */
enum vm_end { VM_END_NONE, VM_END_SHUTDOWN, VM_END_REBOOT, VM_END_CRASHED, VM_END_DESTROYED };

/* Owned by restore_test.c. */
struct restore_test {
	uint32_t left, done;	/* how many restores are still to come, and how many there were */
	uint32_t wait;		/* exits before the next one */
	uint32_t dice;
	void    *buffer;
	uint64_t room;
};

struct vm {
	char           name[HANDOFF_NAME_MAX];
	uint32_t       id;
	_Atomic(enum vm_state) state;
	_Atomic(enum vm_end) end;		/* requested or reached end */
	_Atomic bool   has_reason;		/* somebody has asked for the end, and writes the reason */
	char           end_reason[256];
	bool           is_restart;		/* the same VM ran before: log lines about its start need not come again */
	struct vcpu   *dumped;			/* whose exit ended it: the scheduler has it printed, and then NULL */
	struct { unsigned part, line; } dump;	/* what vcpu_dump prints next */
	int            exit_code;		/* what the guest wrote to the exit device, -1 if nothing */
	const struct handoff_vm *config;
	struct look   *look;			/* posted when it ends, or its devices put work off; NULL: nobody looks yet */

	struct account *account;		/* host memory: what it was promised, what it has; outlives it */
	struct gpm     gpm;
	struct npt     npt;
	struct bus     pio, mmio;
	_Atomic uint32_t hole_pages;		/* mapped where nothing is: exit/mmio_hole.c */
	_Atomic bool   hole_noted;		/* the log has a line about it */
	struct work_list work;			/* put off by its devices; the scheduler runs it in this VM's turn */
	uint32_t       longest_work;		/* ticks of the longest step of it */
	struct machine *machine;
	struct cpuid_table *cpuid;		/* exit/cpuid.h: this VM's answers */
	uint32_t       vcpu_count;		/* that it has; once it runs, as many as its configuration says */
	_Atomic uint32_t halts;			/* how often one of its vCPUs began to wait: exit/hlt.c */
	struct vcpu   *vcpus[VM_VCPUS_MAX];
	struct vm_start *start;			/* what a start needs; NULL once it runs */
	bool           is_spread;		/* its vCPUs are on several processors, and two locks are needed (spread.h): */
	struct lock    machine_lock, memory_lock;
	struct timer_list timers;		/* of its devices; */
	struct timer   alarm;			/* for the earliest of them (vm_timers.h), */
	_Atomic bool   alarm_is_stale;		/* which is another one by now */
	struct vm_clock clock;			/* stands at 0 until the last piece of vm_start */
	struct restore_test restore_test;
	uint64_t       overhead;		/* about so many bytes it and its vCPUs took, without page tables and gpm.dirs */
};

/* Ask for an end; vCPUs leave their run loops. The first reason wins. False: it had one already. */
__attribute__((format(printf, 3, 4))) bool vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...);

/*
 * Stop it if all its vCPUs wait and nothing can wake one (exit/hlt.c). For whoever has seen one begin to
 * wait, or sleep on.
 */
void vm_stop_if_asleep(struct vm *vm);

/* Stop this VM as crashed, with the reason in one line. False as above. Exits use exit_fatal, which has their vCPU dumped. */
__attribute__((format(printf, 2, 3))) bool vm_kill(struct vm *vm, const char *fmt, ...);

/* The VM's own time in ticks, from which its TSC, its paravirtual clock and all devices derive. */
static inline uint64_t vm_now(const struct vm *vm) { return vm_clock_now(&vm->clock); }

static inline bool vm_is_alive(const struct vm *vm) { return vm->state == VM_RUNNING && vm->end == VM_END_NONE; }

/* A log line that starts with the VM's name. */
__attribute__((format(printf, 2, 3))) void vm_log(const struct vm *vm, const char *fmt, ...);
