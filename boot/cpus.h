/* SPDX-License-Identifier: MIT */
#pragma once
/* Which processors there are, and the ACPI root pointer they may be listed in. */
#include "boot/firmware.h"
#include "boot/handoff.h"

/* The RSDP from the firmware's configuration tables (ACPI 2.0 before 1.0), 0 without one. */
uint64_t cpus_find_rsdp(const struct firmware *fw);
/* Can all of these bytes be read? By the firmware's own page tables, which are ours until we leave. */
bool cpus_is_mapped(uint64_t start, uint64_t length);
/* Fills in cpus and cpu_count, the boot processor first: MADT, else EFI_MP_SERVICES, else only ourselves. */
void cpus_list(const struct firmware *fw, struct handoff *handoff);
