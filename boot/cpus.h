/* SPDX-License-Identifier: MIT */
#pragma once
/* Which processors there are, and the ACPI root pointer they may be listed in. */
#include "boot/firmware.h"
#include "boot/handoff.h"

/* The RSDP from the firmware's configuration tables (ACPI 2.0 before 1.0), 0 without one. */
uint64_t cpus_find_rsdp(const struct firmware *fw);
/* Fills in cpus and cpu_count, the boot processor first: MADT, else EFI_MP_SERVICES, else only ourselves. */
void cpus_list(const struct firmware *fw, struct handoff *handoff);
