/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Where a guest's RAM lies and what it is told about it: one list behind the slots of hv/gpm.h and the
 * E820 and Multiboot memory maps, so that they cannot disagree. Pure.
 *
 *   00000000-0009fbff  RAM                     00100000-bfffffff  RAM, as far as it goes
 *   0009fc00-0009ffff  RAM, reserved (EBDA)    c0000000-ffffffff  devices (hv/machine.h)
 *   000a0000-000bffff  RAM (VGA), unannounced  100000000-         the rest of the RAM
 *   000c0000-000dffff  RAM, not announced
 *   000e0000-000fffff  RAM, reserved (ACPI and MP tables, stubs)
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_EBDA		0x9fc00ULL
#define MEMORY_VGA		0xa0000ULL	/* to bffff: a PC's screen memory; kernels write to it without a check */
#define MEMORY_VGA_TEXT		0xb8000ULL
/* Filled by guestboot/: acpi_tables.c, mp_table.c, bios_data.c. */
#define MEMORY_FIRMWARE		0xe0000ULL
#define MEMORY_MP_TABLE		0xf0000ULL
#define MEMORY_BIOS_STUBS	0xfe000ULL
#define MEMORY_HIGH		0x100000ULL
#define MEMORY_DEVICE_HOLE	0xc0000000ULL
#define MEMORY_4GIB		0x100000000ULL

#define MEMORY_RANGES_MAX	8U

/* Address range types of INT 15h, E820h (ACPI specification, "System Address Map Interfaces"). */
enum memory_kind { MEMORY_USABLE = 1, MEMORY_RESERVED = 2 };

struct memory_range {
	uint64_t start, length;
	enum memory_kind kind;
};

struct memory_map {
	size_t count;
	struct memory_range ranges[MEMORY_RANGES_MAX];	/* sorted, disjoint, none empty */
};

/*
 * What is RAM: one range for each slot of the VM's struct gpm. A VM of `size` bytes has its last byte at
 * size-1, or at size-1 + 1 GiB when it reaches past the device hole.
 */
void memory_map_slots(struct memory_map *map, uint64_t size);

/* What the guest is told: E820. */
void memory_map_e820(struct memory_map *map, uint64_t size);

/* Does [start, start+len) lie wholly in one usable range of the map? */
bool memory_map_is_usable(const struct memory_map *map, uint64_t start, uint64_t len);

/*
 * The highest multiple of align (a power of two) at which len bytes fit into one usable range, not below
 * floor and with the last byte at most at last. False when there is none.
 */
__attribute__((warn_unused_result))
bool memory_map_place_high(const struct memory_map *map, uint64_t len, uint64_t align, uint64_t floor,
			   uint64_t last, uint64_t *start);
