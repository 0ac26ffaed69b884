/* SPDX-License-Identifier: MIT */
/*
 * Tables that a firmware wrote, or a test of patience: RSDP, root table, MADT, SRAT, with any lengths, counts and
 * sums, in front of the boot's readers (boot/acpi.c, boot/srat.c) and the hypervisor's (host/ioapic.c). Memory is a region
 * at a low address, shown at its own address. Around it is nothing: both ask what is mapped before they read.
 * Input: struct head, pointers of the root table, then the tables' bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86/host/lapic.h"
#include "arch/x86/host/paging.h"
#include "boot/acpi.h"
#include "boot/srat.h"
#include "hv/lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REGION		0x100000ULL
#define REGION_SIZE	0x8000ULL
#define ROOT		0x100U
#define TABLES		0x1000U
#define POINTERS	32U
#define CPUS		8U
#define LOW_MEMORY	(3ULL << 30)
#define HIGH_MEMORY	(4ULL << 30)

struct head {
	uint8_t  revision, is_long, is_summed, count;	/* is_summed, bit 0: RSDP and root, bit 1: the first table */
	uint32_t root_length;				/* 0: as count says */
	uint16_t at[POINTERS];
};

static uint8_t *region;

uint32_t host_lapic_id(void) { return 1; }
bool paging_is_mapped(hpa_t start, uint64_t len)
{
	return start.raw >= REGION && start.raw - REGION <= REGION_SIZE && len <= REGION_SIZE - (start.raw - REGION);
}

static bool is_mapped(uint64_t start, uint64_t len) { return paging_is_mapped(hpa(start), len); }

static void put(uint32_t at, uint64_t val, size_t size) { memcpy(region + at, &val, size); }

static void sum(uint32_t at, uint32_t len, uint32_t place)
{
	uint8_t total = 0;

	region[place] = 0;
	for (uint32_t i = 0; i < len && at + i < REGION_SIZE; i++)
		total = (uint8_t)(total + region[at + i]);
	region[place] = (uint8_t)-total;
}

static void build(const struct head *head, const uint8_t *bytes, size_t len)
{
	const uint32_t width = head->is_long & 1 ? 8 : 4, count = head->count % (POINTERS + 1);
	uint32_t table_length;

	memset(region, 0, REGION_SIZE);
	memcpy(region + TABLES, bytes, min_size(len, REGION_SIZE - TABLES));
	memcpy(region, "RSD PTR ", 8);
	put(15, head->revision, 1);
	put(16, REGION + ROOT, 4);
	put(20, 36, 4);
	put(24, REGION + ROOT, 8);
	memcpy(region + ROOT, head->is_long & 1 ? "XSDT" : "RSDT", 4);
	put(ROOT + 4, head->root_length ? head->root_length : 36 + count * width, 4);
	for (uint32_t i = 0; i < count; i++)
		put(ROOT + 36 + i * width, REGION + head->at[i] % REGION_SIZE, width);
	memcpy(&table_length, region + TABLES + 4, 4);
	if (head->is_summed & 2)
		sum(TABLES, table_length, TABLES + 9);
	if (head->is_summed & 1) {
		sum(ROOT, head->root_length ? head->root_length : 36 + count * width, ROOT + 9);
		sum(0, 20, 8);
		sum(0, 36, 32);
	}
}

static void read_as_boot(void)
{
	struct handoff_cpu cpus[CPUS];
	const void *madt = acpi_find(REGION, "APIC", is_mapped);
	uint32_t count;

	(void)acpi_find(REGION, "FACP", is_mapped);
	if (!madt)
		return;
	count = acpi_list_cpus(madt, cpus, CPUS);
	assert(count <= CPUS);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t other = 0; other < i; other++)
			assert(cpus[i].apic_id != cpus[other].apic_id);
}

/* Two processors and two stretches of memory, of which a good table says all. */
static struct handoff machine = {
	.cpu_count = 2, .cpus = { { 0 }, { 1 } }, .region_count = 2,
	.regions = { { 0, LOW_MEMORY, REGION_FREE, 0 }, { HIGH_MEMORY, HIGH_MEMORY, REGION_FREE, 0 } },
};

static uint32_t node_at(uint64_t address)
{
	const struct handoff_nodes *nodes = &machine.nodes;

	for (uint32_t i = 0; i < nodes->range_count; i++)
		if (address >= nodes->ranges[i].start && address - nodes->ranges[i].start < nodes->ranges[i].length)
			return nodes->ranges[i].node;
	return HANDOFF_NODES_MAX;
}

/* The ranges are in order and hold all memory, or there is one node and a reason. */
static void read_nodes(void)
{
	const struct handoff_nodes *nodes = &machine.nodes;
	const void *srat = acpi_find(REGION, "SRAT", is_mapped);
	char why[80] = "";

	if (!srat)
		return;
	if (!srat_read(srat, &machine, why, sizeof(why))) {
		assert(why[0] && nodes->with_memory == 1 && !nodes->range_count);
		return;
	}
	assert(nodes->range_count <= HANDOFF_RANGES_MAX);
	for (uint32_t i = 0; i < nodes->range_count; i++) {
		assert(nodes->ranges[i].length && nodes->ranges[i].node < HANDOFF_NODES_MAX);
		assert(!i || nodes->ranges[i].start - nodes->ranges[i - 1].start >= nodes->ranges[i - 1].length);
	}
	for (uint64_t at = 1 << 20; at < 2 * HIGH_MEMORY; at += 1 << 24)
		if (at < LOW_MEMORY || at >= HIGH_MEMORY)
			assert(nodes->with_memory >> node_at(at) & 1);
	assert(nodes->cpus[0] < HANDOFF_NODES_MAX && nodes->cpus[1] < HANDOFF_NODES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct head head = { 0 };
	size_t len = min_size(size, sizeof(head));

	if (!region)
		region = mmap((void *)REGION, REGION_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	assert(region == (uint8_t *)REGION);
	memcpy(&head, data, len);
	build(&head, data + len, size - len);
	read_as_boot();
	read_nodes();
	host_ioapic_init(REGION);
	host_ioapic_route(4, 0xf1);
	return 0;
}
