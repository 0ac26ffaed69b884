/* SPDX-License-Identifier: MIT */
#pragma once
/* What the local APIC of a vCPU is connected to: its processor, the other APICs, the I/O APIC, the 8259. */
#include "hv/dev/lapic.h"

extern const struct lapic_env apic_wires;	/* ctx: struct vcpu */
