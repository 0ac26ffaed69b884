/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The few ACPI tables we need before the hypervisor runs. Works on identity-mapped memory, so a test can build
 * tables anywhere. Everything is checked: signature, length, checksum.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"

/* Is there a Root System Description Pointer at this address? */
bool acpi_rsdp_is_valid(uint64_t rsdp);
/* The table with a four-letter signature, found through XSDT or RSDT; NULL when absent or damaged. */
const void *acpi_find(uint64_t rsdp, const char *signature);
/* Enabled processors of the MADT into cpus; returns how many. */
uint32_t acpi_list_cpus(const void *madt, struct handoff_cpu *cpus, uint32_t max);
