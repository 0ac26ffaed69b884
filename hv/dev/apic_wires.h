/* SPDX-License-Identifier: MIT */
#pragma once
/* What the local APIC of a vCPU is connected to: its processor, the other APICs, the I/O APIC, the 8259. */
#include "hv/dev/lapic.h"

struct vm;

extern const struct lapic_env apic_wires;	/* ctx: struct vcpu */

/*
 * May a device reach a vCPU that has interrupts off? LINT0 or an input of the I/O APIC is open as NMI, or as
 * INIT. LINT1 and the performance counters, which could be NMIs too, have no source here.
 */
bool apic_wires_carry_nmi(const struct vm *vm);
