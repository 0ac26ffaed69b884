/* SPDX-License-Identifier: MIT */
/*
 * The guest's RAM ranges, see hv/memory_map.h. Both maps are cut from a fixed list of windows by the size
 * of the RAM, so that a window is written down once and a VM of any size gets a prefix of the list.
 */
#include "hv/memory_map.h"

#include "hv/addr.h"
#include "hv/lib/util.h"

#define NO_LIMIT	UINT64_MAX

static const struct memory_range slot_windows[] = {
	{ 0, MEMORY_DEVICE_HOLE, MEMORY_USABLE },
	{ MEMORY_4GIB, NO_LIMIT - MEMORY_4GIB, MEMORY_USABLE },
};

static const struct memory_range e820_windows[] = {
	{ 0, MEMORY_EBDA, MEMORY_USABLE },
	{ MEMORY_EBDA, MEMORY_VGA - MEMORY_EBDA, MEMORY_RESERVED },
	{ MEMORY_FIRMWARE, MEMORY_HIGH - MEMORY_FIRMWARE, MEMORY_RESERVED },
	{ MEMORY_HIGH, MEMORY_DEVICE_HOLE - MEMORY_HIGH, MEMORY_USABLE },
	{ MEMORY_4GIB, NO_LIMIT - MEMORY_4GIB, MEMORY_USABLE },
};

/* The guest-physical address after the last byte of RAM: what lies in the device hole moves above it. */
static uint64_t ram_end(uint64_t size)
{
	if (size <= MEMORY_DEVICE_HOLE)
		return size;
	return size - MEMORY_DEVICE_HOLE > NO_LIMIT - MEMORY_4GIB ?
	       NO_LIMIT : size - MEMORY_DEVICE_HOLE + MEMORY_4GIB;
}

static void cut(struct memory_map *map, const struct memory_range *windows, size_t count, uint64_t end)
{
	map->count = 0;
	for (size_t i = 0; i < count && windows[i].start < end; i++) {
		struct memory_range *range = &map->ranges[map->count++];

		*range = windows[i];
		range->length = min_u64(range->length, end - range->start);
	}
}

void memory_map_slots(struct memory_map *map, uint64_t size)
{
	cut(map, slot_windows, countof(slot_windows), ram_end(size));
}

void memory_map_e820(struct memory_map *map, uint64_t size)
{
	cut(map, e820_windows, countof(e820_windows), ram_end(size));
}

bool memory_map_is_usable(const struct memory_map *map, uint64_t start, uint64_t len)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct memory_range *range = &map->ranges[i];

		if (range->kind == MEMORY_USABLE && start >= range->start &&
		    range_fits(start - range->start, len, range->length))
			return true;
	}
	return false;
}

bool memory_map_place_high(const struct memory_map *map, uint64_t len, uint64_t align, uint64_t floor,
			   uint64_t last, uint64_t *start)
{
	for (size_t i = map->count; i-- > 0; ) {
		const struct memory_range *range = &map->ranges[i];
		uint64_t low = max_u64(range->start, floor);
		uint64_t end = range->start + range->length;

		if (last < end)
			end = last + 1;		/* last < end <= UINT64_MAX: no wrap */
		if (range->kind != MEMORY_USABLE || end < low || end - low < len)
			continue;
		*start = align_down(end - len, align);
		if (*start >= low)
			return true;
	}
	return false;
}
