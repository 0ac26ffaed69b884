/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The chips of a PC on their buses with the wires of hv/machine.c, and one processor's local APIC; no virtio, no
 * memory. What leaves the chips is counted, bytes are taken as `room` allows.
 */
#include "hv/bus.h"
#include "hv/machine.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

struct pc {
	struct vm      vm;
	struct vcpu    vcpu;
	uint8_t        fpu[64];
	struct machine machine;
	unsigned       kicks, nmis, ipis, resets, offs, exits, offers;
	size_t         room;	/* what the serial port's other end takes still */
	unsigned       sent;	/* the sum of what it took */
};

void pc_build(struct pc *pc);	/* its clock runs and shows 0 */
void pc_destroy(struct pc *pc);

/* Interrupts as the processor would take them, until there is none: how many. Ends each one. */
unsigned pc_take_interrupts(struct pc *pc);
