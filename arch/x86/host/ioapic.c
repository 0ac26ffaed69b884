/* SPDX-License-Identifier: MIT */
/*
 * The machine's I/O APICs: found in the MADT, all pins masked, single interrupts routed to this processor.
 * Intel 82093AA data sheet; ACPI specification, 5.2.12 "Multiple APIC Description Table".
 *
 * ACPI tables come from firmware: lengths are checked and an address is followed only where the direct map
 * reaches. Whatever looks wrong means "no ACPI", and then there is one I/O APIC at the usual place.
 */
#include "arch/x86/host/lapic.h"
#include "arch/x86/host/paging.h"
#include "arch/x86/hw/acpi_words.h"
#include "hv/lib/apic.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/log.h"

#define IOAPICS_MAX	16U
#define BASE_ALIGNMENT	1024U	/* 82093AA, 3.1 "Memory Mapped Registers": APICBASE moves it in steps of 1 KiB */

struct ioapic {
	uint64_t base;
	uint32_t gsi_base, pins;
};

static struct {
	struct ioapic chips[IOAPICS_MAX];
	size_t        count;
} ioapics;

static volatile uint32_t *chip_reg(const struct ioapic *chip, uint32_t offset)
{
	return hpa_ptr(hpa(chip->base + offset));
}

static uint32_t chip_read(const struct ioapic *chip, uint32_t index)
{
	*chip_reg(chip, IOAPIC_INDEX) = index;
	return *chip_reg(chip, IOAPIC_DATA);
}

static void chip_write(const struct ioapic *chip, uint32_t index, uint64_t val)
{
	*chip_reg(chip, IOAPIC_INDEX) = index;
	*chip_reg(chip, IOAPIC_DATA) = (uint32_t)val;
}

/*
 * An entry has two words, written one after the other. The high one is written first when the pin is
 * unmasked and last when it is masked: the pin is never unmasked with a wrong destination.
 */
static void set_pin(const struct ioapic *chip, uint32_t pin, uint64_t entry)
{
	uint32_t index = IOAPIC_REG_REDIR + 2 * pin;

	chip_write(chip, index, REDIR_MASKED);
	chip_write(chip, index + 1, hi32(entry));
	chip_write(chip, index, entry);
}

static void chip_add(uint64_t base, uint32_t gsi_base)
{
	struct ioapic *chip = &ioapics.chips[ioapics.count];

	if (ioapics.count == IOAPICS_MAX || base % BASE_ALIGNMENT || !paging_is_mapped(hpa(base), PAGE_SIZE))
		return;
	*chip = (struct ioapic){ .base = base, .gsi_base = gsi_base };
	chip->pins = (uint32_t)field_get(chip_read(chip, IOAPIC_REG_VERSION), IOAPIC_VERSION_LAST) + 1;
	for (uint32_t pin = 0; pin < chip->pins; pin++)
		set_pin(chip, pin, REDIR_MASKED);
	ioapics.count++;
}

static const struct acpi_header *table_at(uint64_t addr)
{
	const struct acpi_header *table = hpa_ptr(hpa(addr));

	if (!addr || !paging_is_mapped(hpa(addr), sizeof(*table)) || table->length < sizeof(*table) ||
	    table->length > ACPI_TABLE_MAX || !paging_is_mapped(hpa(addr), table->length))
		return NULL;
	return table;
}

/* The root table lists addresses, of 4 bytes each in the RSDT, 8 in the XSDT. */
static const struct acpi_header *find_table(const struct acpi_header *root, size_t width, const char *signature)
{
	const uint8_t *at = (const uint8_t *)root + sizeof(*root);
	size_t count = (root->length - sizeof(*root)) / width;

	for (size_t i = 0; i < count; i++) {
		const struct acpi_header *table;
		uint64_t addr = 0;

		memcpy(&addr, at + i * width, width);
		table = table_at(addr);
		if (table && memcmp(table->signature, signature, sizeof(table->signature)) == 0)
			return table;
	}
	return NULL;
}

static const struct acpi_header *find_madt(uint64_t addr)
{
	const struct acpi_rsdp *rsdp = hpa_ptr(hpa(addr));
	const struct acpi_header *root;
	bool is_long;

	if (!addr || !paging_is_mapped(hpa(addr), sizeof(*rsdp)))
		return NULL;
	is_long = rsdp->revision >= ACPI_RSDP_REVISION_2 && rsdp->xsdt;
	root = table_at(is_long ? rsdp->xsdt : rsdp->rsdt);
	return root ? find_table(root, is_long ? sizeof(uint64_t) : sizeof(uint32_t), "APIC") : NULL;
}

static void add_from_madt(const struct acpi_header *madt)
{
	const uint8_t *bytes = (const uint8_t *)madt;
	uint32_t at = MADT_ENTRIES;

	while (at + 2 <= madt->length && bytes[at + 1] >= 2 && bytes[at + 1] <= madt->length - at) {
		struct madt_ioapic entry;

		if (bytes[at] == MADT_IOAPIC && bytes[at + 1] >= sizeof(entry)) {
			memcpy(&entry, bytes + at, sizeof(entry));
			chip_add(entry.address, entry.gsi_base);
		}
		at += bytes[at + 1];
	}
}

void host_ioapic_init(uint64_t rsdp)
{
	const struct acpi_header *madt = find_madt(rsdp);

	ioapics.count = 0;
	if (madt)
		add_from_madt(madt);
	if (ioapics.count == 0)
		chip_add(IOAPIC_BASE, 0);
	for (size_t i = 0; i < ioapics.count; i++)
		log_debug("I/O APIC at %lx: GSI %u to %u", ioapics.chips[i].base, ioapics.chips[i].gsi_base,
			  ioapics.chips[i].gsi_base + ioapics.chips[i].pins - 1);
}

void host_ioapic_route(uint32_t gsi, uint8_t vector)
{
	if (ioapics.count == 0)
		host_ioapic_init(0);
	for (size_t i = 0; i < ioapics.count; i++) {
		const struct ioapic *chip = &ioapics.chips[i];

		if (gsi >= chip->gsi_base && gsi - chip->gsi_base < chip->pins) {
			/* Fixed delivery, physical destination, edge, active high: all zero beside the vector. */
			set_pin(chip, gsi - chip->gsi_base, field_set(vector, REDIR_DEST, host_lapic_id()));
			return;
		}
	}
	log_warn("no I/O APIC has GSI %u: its interrupts will not come", gsi);
}
