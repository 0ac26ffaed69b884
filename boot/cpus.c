/* SPDX-License-Identifier: MIT */
/*
 * Processors. The MADT is the usual source; firmware without ACPI (OVMF in Bochs) still offers the MP services of
 * the UEFI Platform Initialization specification, vol. 2, 13.3 "MP Services Protocol", which only work before we
 * leave. Whatever they say, the processor that runs this line exists and comes first.
 */
#include "boot/cpus.h"

#include "arch/x86/hw/cpuid.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/pte.h"
#include "boot/acpi.h"
#include "boot/paging.h"
#include "boot/print.h"
#include "hv/lib/string.h"

static EFI_GUID acpi2_guid = ACPI_20_TABLE_GUID;
static EFI_GUID acpi1_guid = ACPI_TABLE_GUID;
static EFI_GUID mp_services_guid =
	{ 0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } };

struct mp_processor {
	uint64_t processor_id;		/* the APIC ID */
	uint32_t status;
	uint32_t package, core, thread;
	uint32_t extended[6];		/* newer firmware fills this in as well when asked to */
};
#define MP_ENABLED_HEALTHY	0x6U

struct mp_services {
	EFI_STATUS (EFIAPI *get_number)(struct mp_services *mp, UINTN *all, UINTN *enabled);
	EFI_STATUS (EFIAPI *get_info)(struct mp_services *mp, UINTN index,
				      struct mp_processor *info);
};

/* SDM vol. 2, CPUID: leaf 1 "Initial APIC ID", leaf 0BH "x2APIC ID". */
#define LEAF1_APIC_ID_SHIFT	24

bool cpus_is_mapped(uint64_t start, uint64_t length)
{
	return paging_covers((const uint64_t *)(uintptr_t)(read_cr3() & PTE_ADDR), read_cr4() & CR4_LA57 ? 5 : 4,
			     start, length);
}

static uint64_t table_of(const struct firmware *fw, EFI_GUID *guid)
{
	const EFI_CONFIGURATION_TABLE *table = fw->system->ConfigurationTable;

	for (UINTN i = 0; i < fw->system->NumberOfTableEntries; i++)
		if (memcmp(&table[i].VendorGuid, guid, sizeof(*guid)) == 0 &&
		    acpi_rsdp_is_valid((uint64_t)table[i].VendorTable, cpus_is_mapped))
			return (uint64_t)table[i].VendorTable;
	return 0;
}

uint64_t cpus_find_rsdp(const struct firmware *fw)
{
	const uint64_t rsdp = table_of(fw, &acpi2_guid);

	return rsdp ? rsdp : table_of(fw, &acpi1_guid);
}

static uint32_t own_apic_id(void)
{
	if (cpuid(0, 0).eax >= CPUID_TOPOLOGY && cpuid(CPUID_TOPOLOGY, 0).ebx != 0)
		return cpuid(CPUID_TOPOLOGY, 0).edx;
	return cpuid(CPUID_FEATURES, 0).ebx >> LEAF1_APIC_ID_SHIFT;
}

static uint32_t ask_mp_services(const struct firmware *fw, struct handoff_cpu *cpus, uint32_t max)
{
	struct mp_services *mp = firmware_protocol(fw, &mp_services_guid);
	UINTN all = 0, enabled = 0;
	uint32_t count = 0;

	if (!mp || EFI_ERROR(mp->get_number(mp, &all, &enabled)))
		return 0;
	for (UINTN i = 0; i < all && count < max; i++) {
		struct mp_processor info = { 0 };

		if (!EFI_ERROR(mp->get_info(mp, i, &info)) &&
		    (info.status & MP_ENABLED_HEALTHY) == MP_ENABLED_HEALTHY)
			cpus[count++].apic_id = (uint32_t)info.processor_id;
	}
	return count;
}

/* Bring our own entry to the front; make one if the firmware forgot us. */
static void boot_first(struct handoff *handoff, uint32_t own)
{
	struct handoff_cpu *cpus = handoff->cpus;
	uint32_t at = 0;

	while (at < handoff->cpu_count && cpus[at].apic_id != own)
		at++;
	if (at == handoff->cpu_count && handoff->cpu_count < HANDOFF_CPUS_MAX)
		handoff->cpu_count++;
	else if (at == handoff->cpu_count)
		at--;
	memmove(&cpus[1], &cpus[0], at * sizeof(cpus[0]));
	cpus[0] = (struct handoff_cpu){ .apic_id = own };
}

void cpus_list(const struct firmware *fw, struct handoff *handoff)
{
	const void *madt = acpi_find(handoff->rsdp, "APIC", cpus_is_mapped);
	const char *source = "MADT";

	if (madt)
		handoff->cpu_count = acpi_list_cpus(madt, handoff->cpus, HANDOFF_CPUS_MAX);
	if (!handoff->cpu_count) {
		handoff->cpu_count = ask_mp_services(fw, handoff->cpus, HANDOFF_CPUS_MAX);
		source = handoff->cpu_count ? "MP services" : "CPUID";
	}
	boot_first(handoff, own_apic_id());
	print("boot: %u processor(s) from %s, ACPI %s\n", handoff->cpu_count, source,
	      handoff->rsdp ? "present" : "absent");
}
