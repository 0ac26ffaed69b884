/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The timers of a VM's devices. They are in a list of the VM's own, which the machine's lock guards (spread.h), for a
 * device may be told to arm one by a vCPU on any processor. For the earliest of them the VM has one timer, its alarm, on
 * the processor that is its home (home.h): only that one arms it, and calls what is due.
 */
struct turn;
struct vm;

void vm_timers_init(struct vm *vm, struct turn *payer);	/* the alarm is on its account */

/* At its home: the alarm follows the list. Whoever has changed that elsewhere has posted a look at the VM. */
void vm_timers_follow(struct vm *vm);

void vm_timers_end(struct vm *vm);	/* at its home: nothing is called any more, whatever devices arm */
