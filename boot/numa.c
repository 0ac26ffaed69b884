/* SPDX-License-Identifier: MIT */
/*
 * The nodes of the machine. Whether a SRAT (srat.c) speaks of all memory can only be told beside the memory map, so that
 * is read here for the first time; leave.c reads it again when everything is in its place.
 */
#include "boot/numa.h"

#include "boot/acpi.h"
#include "boot/cpus.h"
#include "boot/memmap.h"
#include "boot/print.h"
#include "boot/srat.h"
#include "hv/lib/bits.h"
#include "hv/lib/format.h"
#include "hv/lib/pc.h"
#include "hv/lib/util.h"

#define WHY_MAX		128

static bool list_memory(const struct firmware *fw, struct handoff *handoff)
{
	struct firmware_map map;

	return firmware_get_map(fw, &map) &&
	       memmap_build(&(struct memmap_source){ map.buffer, map.size, map.entry_size }, handoff);
}

static bool read_table(const struct firmware *fw, struct handoff *handoff, enum acpi_found found, const void *srat,
		       char why[WHY_MAX])
{
	const char *fault = NULL;

	if (found == ACPI_DAMAGED)
		fault = "its length or its checksum is wrong";
	else if (!list_memory(fw, handoff))
		fault = "the memory map to compare it with cannot be had";
	if (!fault)
		return srat_read(srat, handoff, why, WHY_MAX);
	format_buf(why, WHY_MAX, "%s", fault);
	return false;
}

/* Of the free memory. */
static uint64_t bytes_of(const struct handoff *handoff, uint32_t node)
{
	const struct handoff_nodes *nodes = &handoff->nodes;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < handoff->region_count; i++)
		for (uint32_t r = 0; r < nodes->range_count; r++) {
			const struct handoff_region *region = &handoff->regions[i];
			const struct handoff_range *range = &nodes->ranges[r];
			const uint64_t start = max_u64(region->start, range->start);

			if (region->kind == REGION_FREE && range->node == node)
				bytes += excess_u64(min_u64(region->start + region->length, range->start + range->length),
						    start);
		}
	return bytes;
}

static uint32_t cpus_of(const struct handoff *handoff, uint32_t node)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < handoff->cpu_count; i++)
		count += handoff->nodes.cpus[i] == node;
	return count;
}

static void say(const struct handoff *handoff)
{
	for (uint32_t node = 0; node < HANDOFF_NODES_MAX; node++) {
		const uint32_t cpus = cpus_of(handoff, node);

		if (cpus || handoff->nodes.with_memory & BIT(node))
			print("boot: node %u of SRAT: %u processor(s), %llu MiB free\n", node, cpus,
			      (unsigned long long)bytes_of(handoff, node) >> MIB_SHIFT);
	}
}

static void say_not_used(const char *why)
{
	char text[2 * WHY_MAX];

	format_buf(text, sizeof(text), "TZ-W026 the firmware's table of nodes (SRAT) is not used, all memory counts as one node: %s",
		   why);
	print("boot: %s\n", text);
}

void numa_find(const struct firmware *fw, struct handoff *handoff)
{
	char why[WHY_MAX];
	const void *srat;
	const enum acpi_found found = acpi_look_up(handoff->rsdp, "SRAT", cpus_is_mapped, &srat);

	srat_none(&handoff->nodes);
	if (found == ACPI_ABSENT)
		return;
	if (read_table(fw, handoff, found, srat, why))
		say(handoff);
	else
		say_not_used(why);
}
