/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The ACPI structures that three sides know: boot/ reads the machine's tables to find its processors and which memory is
 * near them, host/ to find its I/O APICs, guestboot/ writes tables for a guest. ACPI specification 6.5, 5.2.5 "Root System
 * Description Pointer (RSDP)", 5.2.6 "System Description Table Header", 5.2.12 "Multiple APIC Description
 * Table (MADT)", 5.2.16 "System Resource Affinity Table (SRAT)". Tables of firmware are not aligned: copy, then read.
 */
#include <stddef.h>
#include <stdint.h>

#define ACPI_PACKED		__attribute__((packed))

#define ACPI_SIGNATURE_LEN	4U
#define ACPI_TABLE_MAX		(1U << 20)	/* a longer table is garbage */
#define ACPI_RSDP_SIGNATURE	"RSD PTR "
#define ACPI_RSDP_LENGTH_1	20U	/* of revision 0, and what the first checksum covers */
#define ACPI_RSDP_REVISION_2	2U

struct ACPI_PACKED acpi_rsdp {
	char     signature[8];
	uint8_t  checksum;
	char     oem_id[6];
	uint8_t  revision;
	uint32_t rsdt, length;		/* length and what follows: revision 2 */
	uint64_t xsdt;
	uint8_t  extended_checksum, reserved[3];
};

struct ACPI_PACKED acpi_header {
	char     signature[ACPI_SIGNATURE_LEN];
	uint32_t length;
	uint8_t  revision, checksum;
	char     oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char     creator_id[4];
	uint32_t creator_revision;
};

/* What the MADT has between its header and its entries. */
struct ACPI_PACKED madt_start { uint32_t lapic_address, flags; };

#define MADT_ENTRIES		(sizeof(struct acpi_header) + sizeof(struct madt_start))	/* where they begin */

#define MADT_PCAT_COMPAT	1U	/* flags: there is an 8259 pair too */

enum madt_type { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_NMI = 4, MADT_X2APIC = 9 };

#define MADT_ENABLED		1U	/* flag of a processor */
#define MADT_ALL_PROCESSORS	0xffU

struct ACPI_PACKED madt_lapic { uint8_t type, length, uid, apic_id; uint32_t flags; };
struct ACPI_PACKED madt_ioapic { uint8_t type, length, id, reserved; uint32_t address, gsi_base; };
struct ACPI_PACKED madt_override { uint8_t type, length, bus, source; uint32_t gsi; uint16_t flags; };
struct ACPI_PACKED madt_lapic_nmi { uint8_t type, length, uid; uint16_t flags; uint8_t lint; };
struct ACPI_PACKED madt_x2apic { uint8_t type, length; uint16_t reserved; uint32_t apic_id, flags, uid; };

/* What the SRAT has between its header and its entries: nothing that still has a meaning. */
struct ACPI_PACKED srat_start { uint32_t always_1; uint64_t reserved; };

#define SRAT_ENTRIES		(sizeof(struct acpi_header) + sizeof(struct srat_start))
#define SRAT_REVISION_2		2U	/* from here on a domain's number has 32 bits: before it has 8, and the others say nothing */

/* ACPI 6.5, 5.2.16.1 to 5.2.16.7; those from the GICC's on are not about processors or memory of a PC. */
enum srat_type {
	SRAT_LAPIC, SRAT_MEMORY, SRAT_X2APIC, SRAT_GICC, SRAT_GIC_ITS, SRAT_GENERIC_INITIATOR, SRAT_GENERIC_PORT, SRAT_TYPES
};

#define SRAT_ENABLED		1U	/* flag of an entry: else it says nothing */

struct ACPI_PACKED srat_lapic {
	uint8_t  type, length, domain_low, apic_id;
	uint32_t flags;
	uint8_t  sapic_eid, domain_high[3];
	uint32_t clock_domain;
};
struct ACPI_PACKED srat_memory {
	uint8_t  type, length;
	uint32_t domain;
	uint16_t reserved;
	uint64_t base, size;
	uint32_t reserved_2, flags;
	uint64_t reserved_3;
};
struct ACPI_PACKED srat_x2apic {
	uint8_t  type, length;
	uint16_t reserved;
	uint32_t domain, apic_id, flags, clock_domain, reserved_2;
};

/* Polarity and trigger of an interrupt, in MADT and MP table alike (MultiProcessor Specification 1.4, table 4-10). */
#define INTI_BUS		0x0U	/* as the bus has it; ISA: active high, edge */
#define INTI_LEVEL_HIGH		0xdU	/* active high, level-triggered */

_Static_assert(offsetof(struct acpi_rsdp, length) == ACPI_RSDP_LENGTH_1 && sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");
_Static_assert(SRAT_ENTRIES == 48 && sizeof(struct srat_lapic) == 16 && sizeof(struct srat_memory) == 40 &&
	       sizeof(struct srat_x2apic) == 24, "ACPI 5.2.16");
_Static_assert(MADT_ENTRIES == 44 && sizeof(struct madt_ioapic) == 12, "ACPI 5.2.12");

/* Tables of ACPI and of the MultiProcessor Specification are right when all of their bytes add up to 0. */
static inline uint8_t table_sum(const void *table, size_t len)
{
	const uint8_t *bytes = table;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum;
}
