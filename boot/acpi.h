/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The few ACPI tables we need before the hypervisor runs. Works on identity-mapped memory, so a test can build
 * tables anywhere. Everything is checked: signature, length, checksum, and before the first byte of a table is read
 * whether anything is mapped there: an address in a table may be garbage.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"

/* Can all of these bytes be read? */
typedef bool acpi_mapped(uint64_t start, uint64_t length);

/* Is there a Root System Description Pointer at this address? */
bool acpi_rsdp_is_valid(uint64_t rsdp, acpi_mapped *is_mapped);
/* The table with a four-letter signature, found through XSDT or RSDT. Damaged: its length or its sum is wrong. */
enum acpi_found { ACPI_ABSENT, ACPI_DAMAGED, ACPI_WHOLE };
enum acpi_found acpi_look_up(uint64_t rsdp, const char *signature, acpi_mapped *is_mapped, const void **table);
/* The same for who asks no more: NULL when absent or damaged. */
const void *acpi_find(uint64_t rsdp, const char *signature, acpi_mapped *is_mapped);
/* Enabled processors of the MADT into cpus; returns how many. */
uint32_t acpi_list_cpus(const void *madt, struct handoff_cpu *cpus, uint32_t max);
