/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A virtual machine: memory, machine (buses, controllers, devices), processors, and how it ends.
 * Created from one struct handoff_vm. vm_dismantle frees all that it points to, but for that configuration, which is
 * the handoff's, and its account, which outlives it.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt/npt.h"
#include "boot/handoff.h"
#include "hv/account.h"
#include "hv/bus.h"
#include "hv/gpm.h"
#include "hv/restore_test.h"
#include "hv/vm_clock.h"
#include "hv/work.h"

#define VM_VCPUS_MAX	HANDOFF_VCPUS_MAX

struct machine;		/* hv/machine.h: controllers and devices */
struct vcpu;
struct cpuid_table;
struct vm_start;		/* hv/vm_start.c */

/* The first and the last are work that the VM does in turns of its own: vm_start and vm_dismantle. */
enum vm_state { VM_STARTING, VM_RUNNING, VM_ENDING };

/* Why it stopped, in libvirt's words where it has one. */
enum vm_end { VM_END_NONE, VM_END_SHUTDOWN, VM_END_REBOOT, VM_END_CRASHED, VM_END_DESTROYED };

struct vm {
	char           name[HANDOFF_NAME_MAX];
	uint32_t       id;
	enum vm_state  state;
	enum vm_end    end;			/* requested or reached end */
	char           end_reason[256];
	bool           is_restart;		/* the same VM ran before: log lines about its start need not come again */
	struct vcpu   *dumped;			/* whose exit ended it: the scheduler has it printed, and then NULL */
	unsigned       dump_step;		/* of vcpu_dump: the next */
	int            exit_code;		/* what the guest wrote to the exit device, -1 if nothing */
	const struct handoff_vm *config;

	struct account *account;		/* host memory: what it was promised, what it has; outlives it */
	struct gpm     gpm;
	struct npt     npt;
	struct bus     pio, mmio;
	uint32_t       hole_pages;		/* mapped where nothing is: exit/mmio_hole.c */
	bool           hole_noted;		/* the log has a line about it */
	struct work_list work;			/* put off by its devices; the scheduler runs it in this VM's turn */
	struct machine *machine;
	struct cpuid_table *cpuid;		/* exit/cpuid.h: this VM's answers */
	uint32_t       vcpu_count;
	struct vcpu   *vcpus[VM_VCPUS_MAX];
	struct vm_start *start;			/* what a start needs; NULL once it runs */
	struct vm_clock clock;			/* stands until vm_start; 0 there */
	struct restore_test restore_test;
	uint64_t       overhead;		/* bytes beyond the guest's own RAM */
};

/*
 * NULL: logged why. Memory goes on the account, which may be open from an earlier life and stays open behind the end;
 * what its timers cost is the payer's time.
 */
struct vm *vm_create(const struct handoff_vm *config, struct account *account, struct turn *payer);

/*
 * One short piece of a VM's start: zero memory, load the guest, copy its files, and at last make its first
 * vCPU ready. To be called again and again while the VM is VM_STARTING and has not ended.
 */
void vm_start(struct vm *vm);

/*
 * The end of a VM, in pieces as short: vm_take_down leaves the console and the timers, vm_dismantle frees a
 * part at each call, and is true when all is freed, the struct vm itself too.
 */
void vm_take_down(struct vm *vm);
bool vm_dismantle(struct vm *vm);

/* Ask for an end; vCPUs leave their run loops. The first reason wins. */
__attribute__((format(printf, 3, 4))) void vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...);

/* Stop this VM as crashed, with the reason in one line. Exits use exit_fatal, which has their vCPU dumped. */
__attribute__((format(printf, 2, 3))) void vm_kill(struct vm *vm, const char *fmt, ...);

/* The VM's own time in ticks, from which its TSC, its paravirtual clock and all devices derive. */
static inline uint64_t vm_now(const struct vm *vm) { return vm_clock_now(&vm->clock); }

static inline bool vm_is_alive(const struct vm *vm) { return vm->state == VM_RUNNING && vm->end == VM_END_NONE; }

/* A log line that starts with the VM's name. */
__attribute__((format(printf, 2, 3))) void vm_log(const struct vm *vm, const char *fmt, ...);
