/* SPDX-License-Identifier: MIT */
/*
 * ACPI 6.5, 5.2 "ACPI System Description Tables": RSDP, XSDT/RSDT, and of the MADT the entries for processors.
 * Tables are not aligned, so every field is copied out before use; lengths bound every loop.
 */
#include "boot/acpi.h"

#include "arch/x86/hw/acpi_words.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

static bool sums_to_zero(const void *table, size_t len)
{
	return table_sum(table, len) == 0;
}

bool acpi_rsdp_is_valid(uint64_t address, acpi_mapped *is_mapped)
{
	const void *at = (const void *)(uintptr_t)address;
	struct acpi_rsdp rsdp;

	if (!address || !is_mapped(address, ACPI_RSDP_LENGTH_1) ||
	    memcmp(at, ACPI_RSDP_SIGNATURE, sizeof(rsdp.signature)) != 0 || !sums_to_zero(at, ACPI_RSDP_LENGTH_1))
		return false;
	memcpy(&rsdp, at, ACPI_RSDP_LENGTH_1);
	if (rsdp.revision < ACPI_RSDP_REVISION_2)
		return true;
	if (!is_mapped(address, sizeof(rsdp)))
		return false;
	memcpy(&rsdp, at, sizeof(rsdp));
	return rsdp.length >= sizeof(rsdp) && rsdp.length <= ACPI_TABLE_MAX &&
	       is_mapped(address, rsdp.length) && sums_to_zero(at, rsdp.length);
}

static bool has_signature(uint64_t address, const char *signature, acpi_mapped *is_mapped, struct acpi_header *header)
{
	if (!address || !is_mapped(address, sizeof(*header)))
		return false;
	memcpy(header, (const void *)(uintptr_t)address, sizeof(*header));
	return memcmp(header->signature, signature, ACPI_SIGNATURE_LEN) == 0;
}

/* The table at an address, if it is whole and has the signature asked for. */
static const void *table_at(uint64_t address, const char *signature, acpi_mapped *is_mapped,
			    struct acpi_header *header)
{
	const void *at = (const void *)(uintptr_t)address;

	if (!has_signature(address, signature, is_mapped, header))
		return NULL;
	if (header->length < sizeof(*header) || header->length > ACPI_TABLE_MAX ||
	    !is_mapped(address, header->length) || !sums_to_zero(at, header->length))
		return NULL;
	return at;
}

static enum acpi_found find_in(const void *root, uint32_t length, size_t pointer_size, const char *signature,
			       acpi_mapped *is_mapped, const void **table)
{
	enum acpi_found found = ACPI_ABSENT;
	struct acpi_header header;

	for (size_t at = sizeof(header); length - at >= pointer_size; at += pointer_size) {
		uint64_t address = 0;

		memcpy(&address, (const char *)root + at, pointer_size);
		*table = table_at(address, signature, is_mapped, &header);
		if (*table)
			return ACPI_WHOLE;
		if (has_signature(address, signature, is_mapped, &header))
			found = ACPI_DAMAGED;
	}
	return found;
}

enum acpi_found acpi_look_up(uint64_t address, const char *signature, acpi_mapped *is_mapped, const void **table)
{
	struct acpi_header header;
	struct acpi_rsdp rsdp;
	const void *root;

	*table = NULL;
	if (!acpi_rsdp_is_valid(address, is_mapped))
		return ACPI_ABSENT;
	memcpy(&rsdp, (const void *)(uintptr_t)address, ACPI_RSDP_LENGTH_1);
	if (rsdp.revision >= ACPI_RSDP_REVISION_2) {
		memcpy(&rsdp, (const void *)(uintptr_t)address, sizeof(rsdp));
		root = table_at(rsdp.xsdt, "XSDT", is_mapped, &header);
		if (root)
			return find_in(root, header.length, sizeof(uint64_t), signature, is_mapped, table);
	}
	root = table_at(rsdp.rsdt, "RSDT", is_mapped, &header);
	return root ? find_in(root, header.length, sizeof(uint32_t), signature, is_mapped, table) : ACPI_ABSENT;
}

const void *acpi_find(uint64_t address, const char *signature, acpi_mapped *is_mapped)
{
	const void *table;

	(void)acpi_look_up(address, signature, is_mapped, &table);
	return table;
}

/* Some firmware lists a processor in both forms. */
static uint32_t add_cpu(struct handoff_cpu *cpus, uint32_t count, uint32_t max, uint32_t apic_id)
{
	for (uint32_t i = 0; i < count; i++)
		if (cpus[i].apic_id == apic_id)
			return count;
	if (count < max)
		cpus[count++] = (struct handoff_cpu){ .apic_id = apic_id };
	return count;
}

uint32_t acpi_list_cpus(const void *madt, struct handoff_cpu *cpus, uint32_t max)
{
	struct acpi_header header;
	uint32_t count = 0;
	uint8_t length;

	memcpy(&header, madt, sizeof(header));
	for (size_t at = MADT_ENTRIES; at + 2 <= header.length; at += length) {
		const uint8_t *entry = (const uint8_t *)madt + at;
		struct madt_lapic lapic;
		struct madt_x2apic x2apic;

		length = entry[1];
		if (length < 2 || length > header.length - at)
			break;
		if (entry[0] == MADT_LAPIC && length >= sizeof(lapic)) {
			memcpy(&lapic, entry, sizeof(lapic));
			if (lapic.flags & MADT_ENABLED)
				count = add_cpu(cpus, count, max, lapic.apic_id);
		} else if (entry[0] == MADT_X2APIC && length >= sizeof(x2apic)) {
			memcpy(&x2apic, entry, sizeof(x2apic));
			if (x2apic.flags & MADT_ENABLED)
				count = add_cpu(cpus, count, max, x2apic.apic_id);
		}
	}
	return count;
}
