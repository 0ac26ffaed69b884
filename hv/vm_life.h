/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A VM's life: created from one struct handoff_vm, started (vm_start.c), taken down, taken apart.
 * vm_dismantle frees all that struct vm points to, but for that configuration, which is the handoff's, and
 * its account, which outlives it.
 */
#include <stdbool.h>

struct account;
struct handoff_vm;
struct look;
struct turn;
struct vm;

/*
 * NULL: logged why. Memory goes on the account, which may be open from an earlier life and stays open behind the end;
 * what its timers cost is the payer's time. The look is posted for it from when its consoles can be reached.
 */
struct vm *vm_create(const struct handoff_vm *config, struct account *account, struct turn *payer, struct look *look);

/*
 * One short piece of a VM's start: make a vCPU, zero memory, load the guest, copy its files, and at last make its first
 * vCPU ready. To be called again and again while the VM is VM_STARTING and has not ended.
 */
void vm_start(struct vm *vm);

/* For vm_start: the next of its vCPUs, on its account. False: there is no memory for it. */
__attribute__((warn_unused_result)) bool vm_add_vcpu(struct vm *vm);

/*
 * The end of a VM, in pieces as short: vm_take_down leaves the console and the timers, vm_dismantle frees a
 * part at each call, and is true when all is freed, the struct vm itself too.
 */
void vm_take_down(struct vm *vm);
bool vm_dismantle(struct vm *vm);
