/* SPDX-License-Identifier: MIT */
/*
 * ACPI 6.5, 5.2.16 "System Resource Affinity Table (SRAT)": each processor and each range of memory is said to be in
 * a proximity domain. A table with a mistake is of no use at all, for nobody knows which half of it is right.
 *
 * Memory that may be plugged later counts like the rest: what lies there now is in the firmware's memory map. Tables are
 * not aligned, so every entry is copied out before use; lengths bound every loop.
 */
#include "boot/srat.h"

#include <stdarg.h>

#include "arch/x86/hw/acpi_words.h"
#include "boot/memmap.h"
#include "hv/lib/bits.h"
#include "hv/lib/format.h"
#include "hv/lib/pc.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"

#define OLD_DOMAIN	0xffU		/* what counts of a domain's number before revision 2 */

struct reader {
	const struct handoff *handoff;
	struct handoff_nodes *nodes;
	bool is_old;
	bool has_node[HANDOFF_CPUS_MAX];	/* each processor, so far */
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct reader *reader, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	format_vbuf(reader->why, reader->why_size, fmt, args);
	va_end(args);
	return false;
}

static bool check_domain(struct reader *reader, uint32_t domain)
{
	return domain < HANDOFF_NODES_MAX ||
	       refuse(reader, "it has a domain %u, and the last that can be used is %u", domain, HANDOFF_NODES_MAX - 1);
}

/* ---- Entries, one kind after the other ---- */

/* One that the MADT does not list is of no interest; some firmware lists a processor in both forms. */
static bool take_processor(struct reader *reader, uint32_t apic_id, uint32_t domain)
{
	const struct handoff *handoff = reader->handoff;

	if (!check_domain(reader, domain))
		return false;
	for (uint32_t i = 0; i < handoff->cpu_count; i++) {
		if (handoff->cpus[i].apic_id != apic_id)
			continue;
		if (reader->has_node[i] && reader->nodes->cpus[i] != domain)
			return refuse(reader, "processor %u (APIC ID %u) is in domains %u and %u", i, apic_id,
				      reader->nodes->cpus[i], domain);
		reader->has_node[i] = true;
		reader->nodes->cpus[i] = (uint8_t)domain;
	}
	return true;
}

static bool take_lapic(struct reader *reader, const void *entry)
{
	struct srat_lapic lapic;
	uint32_t domain;

	memcpy(&lapic, entry, sizeof(lapic));
	domain = lapic.domain_low;
	for (unsigned i = 0; i < sizeof(lapic.domain_high) && !reader->is_old; i++)
		domain |= (uint32_t)lapic.domain_high[i] << BITS_PER_BYTE * (i + 1);
	return !(lapic.flags & SRAT_ENABLED) || take_processor(reader, lapic.apic_id, domain);
}

static bool take_x2apic(struct reader *reader, const void *entry)
{
	struct srat_x2apic x2apic;

	memcpy(&x2apic, entry, sizeof(x2apic));
	return !(x2apic.flags & SRAT_ENABLED) || take_processor(reader, x2apic.apic_id, x2apic.domain);
}

static uint64_t end_of(const struct handoff_range *range)
{
	return range->start + range->length;
}

/* Into its place in the order of addresses. */
static bool add_range(struct reader *reader, const struct handoff_range *range)
{
	struct handoff_nodes *nodes = reader->nodes;
	struct handoff_range *at = nodes->ranges, *const end = nodes->ranges + nodes->range_count;

	while (at < end && end_of(at) <= range->start)
		at++;
	if (at < end && at->start < end_of(range))
		return refuse(reader, "its memory at 0x%llx is there twice, in domains %u and %u",
			      (unsigned long long)max_u64(at->start, range->start), at->node, range->node);
	if (nodes->range_count == HANDOFF_RANGES_MAX)
		return refuse(reader, "it has more than %u ranges of memory", HANDOFF_RANGES_MAX);
	memmove(at + 1, at, (size_t)(end - at) * sizeof(*at));
	*at = *range;
	nodes->range_count++;
	return true;
}

static bool take_memory(struct reader *reader, const void *entry)
{
	struct srat_memory memory;
	struct handoff_range range;

	memcpy(&memory, entry, sizeof(memory));
	if (!(memory.flags & SRAT_ENABLED) || !memory.size)
		return true;
	range = (struct handoff_range){ .start = memory.base, .length = memory.size,
					.node = reader->is_old ? memory.domain & OLD_DOMAIN : memory.domain };
	if (range.length > excess_u64(ADDRESS_END, range.start))
		return refuse(reader, "no processor can address the end of its memory at 0x%llx, 0x%llx bytes",
			      (unsigned long long)range.start, (unsigned long long)range.length);
	return check_domain(reader, range.node) && add_range(reader, &range);
}

static bool take_nothing(struct reader *reader, const void *entry)
{
	(void)reader;
	(void)entry;
	return true;
}

static const struct {
	uint8_t length;		/* at least */
	bool (*take)(struct reader *reader, const void *entry);
} kinds[SRAT_TYPES] = {
	[SRAT_LAPIC]		 = { sizeof(struct srat_lapic), take_lapic },
	[SRAT_MEMORY]		 = { sizeof(struct srat_memory), take_memory },
	[SRAT_X2APIC]		 = { sizeof(struct srat_x2apic), take_x2apic },
	[SRAT_GICC]		 = { 2, take_nothing },
	[SRAT_GIC_ITS]		 = { 2, take_nothing },
	[SRAT_GENERIC_INITIATOR] = { 2, take_nothing },
	[SRAT_GENERIC_PORT]	 = { 2, take_nothing },
};

/* ---- The whole ---- */

static bool take_entries(struct reader *reader, const uint8_t *srat, uint32_t length)
{
	size_t at = SRAT_ENTRIES;

	if (length < at)
		return refuse(reader, "its %u bytes are fewer than a SRAT has", length);
	while (at < length) {
		const uint32_t left = length - (uint32_t)at;
		const uint8_t *entry = srat + at;

		if (left < 2 || entry[1] > left || entry[1] < 2)
			return refuse(reader, "its entry at byte %u has a wrong length", (uint32_t)at);
		if (entry[0] >= SRAT_TYPES)
			return refuse(reader, "its entry at byte %u has the unknown type %u", (uint32_t)at, entry[0]);
		if (entry[1] < kinds[entry[0]].length)
			return refuse(reader, "its entry at byte %u has %u bytes, too few for type %u", (uint32_t)at, entry[1],
				      entry[0]);
		if (!kinds[entry[0]].take(reader, entry))
			return false;
		at += entry[1];
	}
	return true;
}

static bool check_processors(struct reader *reader)
{
	const struct handoff *handoff = reader->handoff;

	for (uint32_t i = 0; i < handoff->cpu_count; i++)
		if (!reader->has_node[i])
			return refuse(reader, "processor %u (APIC ID %u) is in no domain", i, handoff->cpus[i].apic_id);
	return true;
}

/* All of a region has to lie in ranges, which are in the same order. What is below LOW_MEMORY_END is not used (hv/page.c). */
static bool check_region(struct reader *reader, uint64_t start, uint64_t end)
{
	struct handoff_nodes *nodes = reader->nodes;

	for (uint32_t i = 0; i < nodes->range_count && start < end; i++) {
		const struct handoff_range *range = &nodes->ranges[i];

		if (range->start <= start && start < end_of(range)) {
			nodes->with_memory |= BIT(range->node);
			start = end_of(range);
		}
	}
	return start >= end || refuse(reader, "memory at 0x%llx is in no domain", (unsigned long long)start);
}

static bool check_memory(struct reader *reader)
{
	const struct handoff *handoff = reader->handoff;

	for (uint32_t i = 0; i < handoff->region_count; i++) {
		const struct handoff_region *region = &handoff->regions[i];

		if (region->kind == REGION_FREE &&
		    !check_region(reader, max_u64(region->start, LOW_MEMORY_END), region->start + region->length))
			return false;
	}
	return true;
}

void srat_none(struct handoff_nodes *nodes)
{
	memset(nodes, 0, sizeof(*nodes));
	nodes->with_memory = BIT(0);
}

bool srat_read(const void *srat, struct handoff *handoff, char *why, size_t why_size)
{
	struct reader reader = { .handoff = handoff, .nodes = &handoff->nodes, .why = why, .why_size = why_size };
	struct acpi_header header;

	memcpy(&header, srat, sizeof(header));
	reader.is_old = header.revision < SRAT_REVISION_2;
	memset(reader.nodes, 0, sizeof(*reader.nodes));
	if (take_entries(&reader, srat, header.length) && check_processors(&reader) && check_memory(&reader))
		return true;
	srat_none(reader.nodes);
	return false;
}
