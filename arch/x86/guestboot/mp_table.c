/* SPDX-License-Identifier: MIT */
/*
 * The MP table, see mp_table.h. MultiProcessor Specification 1.4, chapter 4 "MP Configuration Table": a
 * floating pointer on a 16-byte boundary that kernels search for between F0000h and FFFFFh, a header, and
 * entries sorted by type.
 *
 * The machine starts in virtual wire mode (3.6.2.2): the 8259's INT reaches processor 0 through LINT0 of its
 * local APIC.
 */
#include "arch/x86/guestboot/mp_table.h"

#include <stdbool.h>
#include <stddef.h>

#include "arch/x86/hw/acpi_words.h"
#include "hv/dev/acpi_pm.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/lapic.h"
#include "hv/lib/string.h"
#include "hv/machine.h"
#include "hv/memory_map.h"
#include "hv/vm.h"

#define SPEC_1_4		4U
#define PARAGRAPH		16U	/* the unit of the pointer's length */
#define ISA_BUS_ID		0U
#define IOAPIC_ID		0U	/* what its ID register reads after a reset, and what the MADT says */
#define ALL_LAPICS		0xffU

/* Processor entry: usable, boot processor; an FPU, CMPXCHG8B, a local APIC. CPUID tells the rest. */
#define CPU_ENABLED		1U
#define CPU_BOOT		2U
#define CPU_FEATURES		0x301U
#define IOAPIC_ENABLED		1U

enum mp_entry { MP_PROCESSOR = 0, MP_BUS = 1, MP_IOAPIC = 2, MP_IO_INTERRUPT = 3, MP_LOCAL_INTERRUPT = 4 };
enum mp_interrupt { MP_INT = 0, MP_NMI = 1, MP_EXTINT = 3 };

struct ACPI_PACKED mp_pointer {
	char     signature[4];
	uint32_t table;
	uint8_t  length, revision, checksum, features[5];	/* features 0: a table is there, virtual wire mode */
};

struct ACPI_PACKED mp_header {
	char     signature[4];
	uint16_t length;
	uint8_t  revision, checksum;
	char     oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_size, entry_count;
	uint32_t lapic_address;
	uint16_t extended_length;
	uint8_t  extended_checksum, reserved;
};

struct ACPI_PACKED mp_cpu { uint8_t type, apic_id, version, flags; uint32_t signature, features, reserved[2]; };
struct ACPI_PACKED mp_bus { uint8_t type, id; char name[6]; };
struct ACPI_PACKED mp_ioapic { uint8_t type, id, version, flags; uint32_t address; };
struct ACPI_PACKED mp_wire { uint8_t type, kind; uint16_t flags; uint8_t bus, irq, apic, pin; };

_Static_assert(sizeof(struct mp_pointer) == PARAGRAPH && sizeof(struct mp_header) == 44, "MP 1.4, 4.1 and 4.2");
_Static_assert(sizeof(struct mp_cpu) == 20 && sizeof(struct mp_wire) == 8, "MP 1.4, 4.3");

#define LOCAL_WIRES		2U
#define ISA_WIRES		(ISA_IRQS - 1U)	/* input 2 is the timer's, so ISA line 2 (the cascade) has none */

/* The table at its largest; one with fewer processors is written as two pieces. */
struct ACPI_PACKED mp_table {
	struct mp_header header;
	struct mp_cpu    cpus[VM_VCPUS_MAX];
	struct ACPI_PACKED mp_rest {
		struct mp_bus    isa;
		struct mp_ioapic ioapic;
		struct mp_wire   wires[ISA_WIRES + LOCAL_WIRES];
	} rest;
};

_Static_assert(MEMORY_MP_TABLE + sizeof(struct mp_pointer) + sizeof(struct mp_table) <= MEMORY_BIOS_STUBS, "room");

static void fill_processors(struct mp_cpu *cpus, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		cpus[i] = (struct mp_cpu){
			.type = MP_PROCESSOR, .apic_id = (uint8_t)i, .version = LAPIC_VERSION,
			.flags = CPU_ENABLED | (i ? 0 : CPU_BOOT), .features = CPU_FEATURES,
		};
}

static void fill_rest(struct mp_rest *rest)
{
	struct mp_wire *wire = rest->wires;

	rest->isa = (struct mp_bus){ MP_BUS, ISA_BUS_ID, { 'I', 'S', 'A', ' ', ' ', ' ' } };
	rest->ioapic = (struct mp_ioapic){ MP_IOAPIC, IOAPIC_ID, IOAPIC_VERSION, IOAPIC_ENABLED, IOAPIC_BASE };
	for (uint8_t irq = 0; irq < ISA_IRQS; irq++) {
		uint16_t flags = irq == ACPI_SCI_IRQ ? INTI_LEVEL_HIGH : INTI_BUS;
		uint8_t  pin = irq == TIMER_ISA_IRQ ? TIMER_GSI : irq;

		if (irq != TIMER_GSI)
			*wire++ = (struct mp_wire){ MP_IO_INTERRUPT, MP_INT, flags, ISA_BUS_ID, irq, IOAPIC_ID, pin };
	}
	*wire++ = (struct mp_wire){ MP_LOCAL_INTERRUPT, MP_EXTINT, INTI_BUS, ISA_BUS_ID, 0, 0, EXTINT_LINT };
	*wire = (struct mp_wire){ MP_LOCAL_INTERRUPT, MP_NMI, INTI_BUS, ISA_BUS_ID, 0, ALL_LAPICS, NMI_LINT };
}

static bool write_table(struct gpm *gpm, uint64_t addr, uint32_t vcpu_count)
{
	const size_t front = offsetof(struct mp_table, cpus) + vcpu_count * sizeof(struct mp_cpu);
	struct mp_table table = {
		.header = {
			.signature = "PCMP", .length = (uint16_t)(front + sizeof(table.rest)), .revision = SPEC_1_4,
			.oem_id = "TRAPEZE ", .product_id = "small PC    ", .lapic_address = LAPIC_BASE,
			.entry_count = (uint16_t)(vcpu_count + 2 + ISA_WIRES + LOCAL_WIRES),	/* bus and I/O APIC: 2 */
		},
	};

	fill_processors(table.cpus, vcpu_count);
	fill_rest(&table.rest);
	table.header.checksum = (uint8_t)-(table_sum(&table, front) + table_sum(&table.rest, sizeof(table.rest)));
	return gpm_write(gpm, gpa(addr), &table, front) &&
	       gpm_write(gpm, gpa(addr + front), &table.rest, sizeof(table.rest));
}

int mp_table_write(struct gpm *gpm, uint32_t vcpu_count)
{
	struct mp_pointer pointer = {
		.signature = "_MP_", .table = MEMORY_MP_TABLE + sizeof(pointer),
		.length = sizeof(pointer) / PARAGRAPH, .revision = SPEC_1_4,
	};

	if (vcpu_count > VM_VCPUS_MAX)
		return -1;
	pointer.checksum = (uint8_t)-table_sum(&pointer, sizeof(pointer));
	if (!gpm_write(gpm, gpa(MEMORY_MP_TABLE), &pointer, sizeof(pointer)) ||
	    !write_table(gpm, pointer.table, vcpu_count))
		return -1;
	return 0;
}
