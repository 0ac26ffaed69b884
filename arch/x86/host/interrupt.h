/* SPDX-License-Identifier: MIT */
#pragma once
/* Interrupts of our own devices: who handles which vector (trap.c). */
#include <stdint.h>

/* Handlers run with interrupts off and must EOI nothing: cpu_dispatch_interrupt does. */
void cpu_set_interrupt(uint8_t vector, void (*handler)(uint8_t vector));
void cpu_dispatch_interrupt(uint8_t vector);	/* by trap.c and by "acknowledge interrupt on exit"; sends the EOI */
