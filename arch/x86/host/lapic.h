/* SPDX-License-Identifier: MIT */
#pragma once
/* Our own local APIC (x2APIC when the firmware enabled it or the CPU has it, else MMIO) and its one timer. */
#include <stdbool.h>
#include <stdint.h>

#define VECTOR_TIMER	0xf0U
#define VECTOR_SERIAL	0xf1U
#define VECTOR_SPURIOUS	0xffU

void     host_lapic_init(void);	/* after paging_init; masks the 8259 pair for good */
bool     host_lapic_init_other(void);	/* on another processor, later, with a timer like the boot processor's; false: not the same mode */
uint32_t host_lapic_id(void);
bool     host_lapic_reaches(uint32_t apic_id);
void     host_lapic_send(uint32_t apic_id, uint64_t command);	/* ICR_... of hv/lib/apic.h, to another processor */
void     host_lapic_eoi(void);

void host_ioapic_init(uint64_t rsdp);	/* finds the I/O APICs; 0 = no ACPI: one at fec00000 */
void host_ioapic_route(uint32_t gsi, uint8_t vector);	/* edge-triggered, to this processor, unmasked */
