/* SPDX-License-Identifier: MIT */
#pragma once
/* From the firmware's memory map to the sorted region list of the handoff. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handoff.h"

#define ADDRESS_END	(1ULL << 52)	/* no processor has more physical address bits */

/* UEFI 2.10, 7.2 "Memory Allocation Services": EFI_MEMORY_DESCRIPTOR, version 1. */
struct memmap_descriptor {
	uint32_t type, pad;
	uint64_t physical_start, virtual_start, page_count, attribute;
};

/* The map as GetMemoryMap left it; entry_size is the firmware's, which may be larger than ours. */
struct memmap_source {
	const void *map;
	size_t size, entry_size;
};

/* What the firmware's types become after it has gone. */
enum handoff_region_kind memmap_kind(uint32_t efi_type, uint64_t attribute);

/* Fill in regions and region_count; false when HANDOFF_REGIONS_MAX do not suffice. */
bool memmap_build(const struct memmap_source *source, struct handoff *handoff);

/* Give a stretch a kind, whatever it was; whole pages around it. False: no room for one more region. */
bool memmap_set(struct handoff *handoff, uint64_t start, uint64_t length,
		enum handoff_region_kind kind);
