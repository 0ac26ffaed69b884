/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Messages between a guest's interrupt controllers: inter-processor interrupts, what the I/O APIC delivers,
 * and the two messages that start processors, INIT and SIPI. A vCPU that waits for its SIPI is parked in our
 * scheduler (VCPU_PARKED), never in the control block's activity state.
 *
 * SDM vol. 3, 11.6 "Issuing Interprocessor Interrupts", 9.4 "Multiple-Processor (MP) Initialization".
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/ioapic.h"

struct lapic;
struct vcpu;
struct vm;
struct reset_state;

/* An ICR write by a local APIC of this VM, as the register holds it (xAPIC: destination in bits 63:56). */
void smp_ipi(struct vm *vm, const struct lapic *from, uint64_t icr);

/* A message of the I/O APIC (or an MSI). True when some local APIC took it. */
bool smp_deliver(struct vm *vm, const struct ioapic_msg *msg);

/* Give a parked vCPU a start state, general registers included, and make it ready. */
void smp_start(struct vcpu *vcpu, const struct reset_state *state);
