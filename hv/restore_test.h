/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A test that a VM carries with it (`test_restore = N` in its configuration, for our own tests): at N
 * random exits it is saved, wiped and restored in place while it works. When the guest's output and results
 * are the same as without the test, nothing that the guest can see is missing from its saved state. Guest
 * memory stays where it is.
 */
#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;

/* The end of the turn of a vCPU that is about to run: after one exit while the test is on, else `end`. */
uint64_t restore_test_turn(struct vcpu *vcpu, uint64_t end);

/* A vCPU has left its run loop, and all of the VM is on this processor. A state that cannot be saved or loaded ends the VM. */
void restore_test_step(struct vm *vm);

void restore_test_end(struct vm *vm);	/* gives its memory back */
