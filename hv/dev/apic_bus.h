/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Messages between a guest's interrupt controllers: inter-processor interrupts, what the I/O APIC delivers,
 * and the two messages that start processors, INIT and SIPI.
 *
 * SDM vol. 3, 11.6 "Issuing Interprocessor Interrupts", 9.4 "Multiple-Processor (MP) Initialization".
 */
#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/ioapic.h"

struct lapic;
struct vm;

/* An ICR write by a local APIC of this VM, as the register holds it (xAPIC: destination in bits 63:56). */
void apic_bus_ipi(struct vm *vm, const struct lapic *from, uint64_t icr);

/* As KVM's hypercall sends it: to each processor whose APIC ID is `first` + the number of a bit that is set. How many took it. */
uint32_t apic_bus_send_set(struct vm *vm, uint32_t first, uint64_t set, enum apic_mode mode, uint8_t vector);

/* A message of the I/O APIC (or an MSI). True when some local APIC took it. */
bool apic_bus_deliver(struct vm *vm, const struct ioapic_msg *msg);
