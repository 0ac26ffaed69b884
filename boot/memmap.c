/* SPDX-License-Identifier: MIT */
/*
 * The region list is kept sorted, disjoint and merged after every step: memmap_set cuts a hole and fills it.
 * Firmware maps are short (some dozen entries) and this runs twice, so the quadratic way is the clear one.
 * Overlapping firmware entries (they exist) resolve to the careful side: free memory is entered first and
 * overwritten by whatever else claims it.
 */
#include "boot/memmap.h"

#include "hv/lib/page_size.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define ATTRIBUTE_WB	0x8ULL		/* EFI_MEMORY_WB: ordinary memory can be cached */

/* EFI_MEMORY_TYPE. Loader and boot-service memory is ours once boot services are gone. */
static const enum handoff_region_kind kinds[] = {
	[0]  = REGION_RESERVED,	/* EfiReservedMemoryType */
	[1]  = REGION_FREE,	/* EfiLoaderCode */
	[2]  = REGION_FREE,	/* EfiLoaderData */
	[3]  = REGION_FREE,	/* EfiBootServicesCode */
	[4]  = REGION_FREE,	/* EfiBootServicesData */
	[5]  = REGION_RUNTIME,	/* EfiRuntimeServicesCode */
	[6]  = REGION_RUNTIME,	/* EfiRuntimeServicesData */
	[7]  = REGION_FREE,	/* EfiConventionalMemory */
	[8]  = REGION_RESERVED,	/* EfiUnusableMemory */
	[9]  = REGION_ACPI,	/* EfiACPIReclaimMemory */
	[10] = REGION_ACPI,	/* EfiACPIMemoryNVS */
	[11] = REGION_MMIO,	/* EfiMemoryMappedIO */
	[12] = REGION_MMIO,	/* EfiMemoryMappedIOPortSpace */
	[13] = REGION_RESERVED,	/* EfiPalCode */
	[14] = REGION_RESERVED,	/* EfiPersistentMemory: a disk, in effect */
};

enum handoff_region_kind memmap_kind(uint32_t efi_type, uint64_t attribute)
{
	enum handoff_region_kind kind =
		efi_type < countof(kinds) ? kinds[efi_type] : REGION_RESERVED;

	return kind == REGION_FREE && !(attribute & ATTRIBUTE_WB) ? REGION_RESERVED : kind;
}

static uint64_t region_end(const struct handoff_region *region)
{
	return region->start + region->length;
}

/* Make room for one more region at `at`. */
static bool open_gap(struct handoff *handoff, uint32_t at)
{
	struct handoff_region *region = &handoff->regions[at];

	if (handoff->region_count == HANDOFF_REGIONS_MAX)
		return false;
	memmove(region + 1, region, (handoff->region_count - at) * sizeof(*region));
	handoff->region_count++;
	return true;
}

static void remove_region(struct handoff *handoff, uint32_t at)
{
	struct handoff_region *region = &handoff->regions[at];

	handoff->region_count--;
	memmove(region, region + 1, (handoff->region_count - at) * sizeof(*region));
}

/* Remove [start, end) from the list; returns where a region for it belongs, or -1 without room to split. */
static int cut_hole(struct handoff *handoff, uint64_t start, uint64_t end)
{
	uint32_t at = 0;

	while (at < handoff->region_count && region_end(&handoff->regions[at]) <= start)
		at++;
	if (at < handoff->region_count && handoff->regions[at].start < start) {
		struct handoff_region *left = &handoff->regions[at];

		if (region_end(left) > end) {
			if (!open_gap(handoff, at))
				return -1;
			left[1].length = region_end(&left[1]) - end;
			left[1].start = end;
		}
		left->length = start - left->start;
		at++;
	}
	while (at < handoff->region_count && region_end(&handoff->regions[at]) <= end)
		remove_region(handoff, at);
	if (at < handoff->region_count && handoff->regions[at].start < end) {
		handoff->regions[at].length = region_end(&handoff->regions[at]) - end;
		handoff->regions[at].start = end;
	}
	return (int)at;
}

static bool joins(const struct handoff_region *left, const struct handoff_region *right)
{
	return left->kind == right->kind && region_end(left) == right->start;
}

/* Join region `at` with the one behind it if they belong together. */
static void merge(struct handoff *handoff, uint32_t at)
{
	if (at + 1 >= handoff->region_count ||
	    !joins(&handoff->regions[at], &handoff->regions[at + 1]))
		return;
	handoff->regions[at].length += handoff->regions[at + 1].length;
	remove_region(handoff, at + 1);
}

bool memmap_set(struct handoff *handoff, uint64_t start, uint64_t length,
		enum handoff_region_kind kind)
{
	uint64_t end;
	int at;

	if (length == 0)
		return true;
	if (start >= ADDRESS_END || length > ADDRESS_END - start)
		return true;	/* nonsense of a broken firmware: not memory anyone could use */
	end = (start + length + PAGE_MASK) & ~PAGE_MASK;
	start &= ~PAGE_MASK;
	at = cut_hole(handoff, start, end);
	if (at < 0 || !open_gap(handoff, (uint32_t)at))
		return false;
	handoff->regions[at] =
		(struct handoff_region){ .start = start, .length = end - start, .kind = kind };
	merge(handoff, (uint32_t)at);
	if (at > 0)
		merge(handoff, (uint32_t)at - 1);
	return true;
}

bool memmap_build(const struct memmap_source *source, struct handoff *handoff)
{
	struct memmap_descriptor entry;
	bool room = true;

	handoff->region_count = 0;
	if (source->entry_size < sizeof(entry))
		return false;
	for (unsigned pass = 0; pass < 2; pass++)
		for (size_t at = 0; room && source->size - at >= source->entry_size;
		     at += source->entry_size) {
			enum handoff_region_kind kind;

			memcpy(&entry, (const char *)source->map + at, sizeof(entry));
			kind = memmap_kind(entry.type, entry.attribute);
			if ((kind != REGION_FREE) == pass &&
			    entry.page_count < ADDRESS_END >> PAGE_SHIFT)
				room = memmap_set(handoff, entry.physical_start,
						  entry.page_count << PAGE_SHIFT, kind);
		}
	return room;
}
