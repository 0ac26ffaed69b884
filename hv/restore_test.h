/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A test that a VM carries with it (`test_restore = N` in its configuration, for our own tests): at N random exits it is
 * saved, wiped and restored in place while it works. A guest whose output and results are what they are without is
 * the proof that nothing it can see is missing from its saved state. Guest memory stays where it is.
 */
#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;

struct restore_test {
	uint32_t left, done;	/* how often it is still to happen, and has happened */
	uint32_t wait;		/* exits before the next one */
	uint32_t dice;
	void    *buffer;
	uint64_t room;
};

/* When the turn of a vCPU ends that is about to run: after each exit, while the test is on. */
uint64_t restore_test_turn(struct vcpu *vcpu, uint64_t end);

/* The vCPU has left its run loop. A state that cannot be saved or loaded ends the VM. */
void restore_test_step(struct vm *vm);

void restore_test_end(struct vm *vm);	/* gives its memory back */
