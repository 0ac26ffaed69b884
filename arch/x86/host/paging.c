/* SPDX-License-Identifier: MIT */
/*
 * Our own page tables. Four things are mapped, nothing else:
 *   - the image at its link address, each section with just the rights it needs, guard pages left out;
 *   - the direct map: the low 4 GiB (devices, firmware) and all RAM, at DIRECT_MAP_BASE + physical address; the
 *     pages of our own code and constants are read-only there as well;
 *   - in another top table, which exists only while it is used, the same physical memory at its own address,
 *     executable: for one call of the firmware's ResetSystem, and for other processors' first instructions;
 *   - the stacks and tables of other processors, 4 KiB pages wherever they come from.
 * The direct map is made non-executable by its entries in the top table alone (NX holds for everything below
 * it: SDM vol. 3, 4.6 "Access Rights"), so the identity map shares all lower tables.
 *
 * Memory types: entries say write-back and leave devices to the MTRRs, as the firmware programmed them (SDM
 * vol. 3, 12.5.2 "Selecting Memory Types..."); the first 2 MiB, where fixed MTRRs differ every few KiB, are
 * mapped in 4 KiB pages. The PAT is what it is at power-on.
 */
#include "arch/x86/host/paging.h"

#include "arch/x86/host/features.h"
#include "arch/x86/host/gdt.h"
#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "arch/x86/hw/pte.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"
#include "hv/page.h"
#include "hv/panic.h"

#define TOP_LEVEL	4U
#define HALF		(PT_ENTRIES / 2)	/* entries of the upper half: negative addresses */
#define LOW_4G		(4ULL << 30)
#define TABLE_FLAGS	(PTE_P | PTE_W)
#define PAGE_FLAGS	(PTE_P | PTE_A | PTE_D)	/* set ahead: the processor need not write them */

/* hv.ld */
extern const uint8_t __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __bss_end[];

static struct {
	uint64_t *pml4;
	uint64_t *last_top;			/* top table for the firmware's ResetSystem; empty until then */
	uint64_t  root;				/* CR3 */
	uint64_t  efi_reset_system;
} tables;

struct mapping {
	uint64_t virt, phys, len, flags;
	unsigned max_level;		/* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB pages */
};

static uint64_t *entry_table(uint64_t entry)
{
	return hpa_ptr(hpa(entry & PTE_ADDR));
}

/* ---- Before we have tables ---- */

/*
 * Boot's tables are mapped by themselves at their physical addresses, writable (boot/paging.c). The last entry is not
 * overwritten: there the image lies.
 */
void paging_early(void)
{
	uint64_t *top = (uint64_t *)(uintptr_t)(read_cr3() & PTE_ADDR);

	for (unsigned i = 0; i < HALF - 1; i++)
		if (top[i] & PTE_P)
			top[HALF + i] = top[i];
	write_cr3(read_cr3());
}

/* ---- Building ---- */

static uint64_t *new_table(void)
{
	uint64_t *table = page_alloc();

	if (!table)
		panic("out of memory for our own page tables");
	return table;
}

static uint64_t *next_table(uint64_t *entry)
{
	if (!(*entry & PTE_P))
		*entry = ptr_hpa(new_table()).raw | TABLE_FLAGS;
	return entry_table(*entry);
}

/* The largest page that fits here. */
static unsigned page_level(const struct mapping *map, uint64_t done)
{
	unsigned level = map->max_level;

	while (level > 1 && (((map->virt + done) | (map->phys + done)) % pt_span(level) ||
			     map->len - done < pt_span(level)))
		level--;
	return level;
}

/*
 * An address that is mapped already keeps its entry: ranges that were rounded to large pages may overlap,
 * and the image's pages have rights of their own. Where a large page would cover such small pages, its
 * other parts are mapped in small pages too.
 */
static void map_range(const struct mapping *map)
{
	for (uint64_t done = 0; done < map->len;) {
		unsigned leaf = page_level(map, done), level = TOP_LEVEL;
		uint64_t *entry = &tables.pml4[pt_index(map->virt + done, level)];

		while (level > 1 && !(level < TOP_LEVEL && (*entry & PTE_PS)) && (level > leaf || (*entry & PTE_P))) {
			uint64_t *table = next_table(entry);

			level--;
			entry = &table[pt_index(map->virt + done, level)];
		}
		if (!(*entry & PTE_P))
			*entry = (map->phys + done) | map->flags | (level > 1 ? PTE_PS : 0);
		done += pt_span(level < leaf ? level : leaf);
	}
}

static uint64_t nx_flag(void)
{
	return cpu_features.has_nx ? PTE_NX : 0;
}

/*
 * Our own code and constants, read-only in the direct map. Mapped before the rest of it, because what is
 * mapped first stays.
 */
static void map_image_alias(const struct handoff *handoff)
{
	uint64_t start = (uint64_t)(uintptr_t)__text_start, end = (uint64_t)(uintptr_t)__rodata_end;
	uint64_t phys = handoff->hv_start + (start - handoff->hv_link);

	map_range(&(struct mapping){ DIRECT_MAP_BASE + phys, phys, end - start, PAGE_FLAGS, 1 });
}

static void map_image(const struct handoff *handoff)
{
	const struct { const uint8_t *start, *end; uint64_t flags; } sections[] = {
		{ __text_start, __text_end, PAGE_FLAGS },
		{ __rodata_start, __rodata_end, PAGE_FLAGS | nx_flag() },
		{ __data_start, __bss_end, PAGE_FLAGS | PTE_W | nx_flag() },
	};

	for (size_t i = 0; i < countof(sections); i++) {
		uint64_t start = (uint64_t)(uintptr_t)sections[i].start;
		uint64_t end = align_up((uint64_t)(uintptr_t)sections[i].end, PAGE_SIZE);

		map_range(&(struct mapping){ start, handoff->hv_start + (start - handoff->hv_link), end - start,
					     sections[i].flags, 1 });
	}
}

static uint64_t *leaf_entry(uint64_t virt)
{
	uint64_t *table = tables.pml4;

	for (unsigned level = TOP_LEVEL; level > 1; level--)
		table = next_table(&table[pt_index(virt, level)]);
	return &table[pt_index(virt, 1)];
}

static void unmap_guards(void)
{
	for (unsigned i = 0; gdt_guard_page(i); i++)
		*leaf_entry(gdt_guard_page(i)) = 0;
}

static void map_direct(uint64_t start, uint64_t end, uint64_t flags, unsigned max_level)
{
	map_range(&(struct mapping){ DIRECT_MAP_BASE + start, start, end - start, PAGE_FLAGS | PTE_W | flags,
				     max_level });
}

/* Whole 2 MiB pages around the region: what lies beside RAM is reserved at worst, and never touched. */
static void map_region(const struct handoff_region *region)
{
	uint64_t start = max_u64(align_down(region->start, LARGE_SIZE), LOW_4G);
	uint64_t end = align_up(region->start + region->length, LARGE_SIZE);

	if (start < end && region->kind != REGION_RESERVED && region->kind != REGION_MMIO)
		map_direct(start, end, 0, cpu_features.has_1g ? 3 : 2);
}

/* Keep the direct map from being executed, also where it has grown. */
static void forbid_execution(void)
{
	for (unsigned i = HALF; i < PT_ENTRIES - 1; i++)
		if (tables.pml4[i] & PTE_P)
			tables.pml4[i] |= nx_flag();
}

static uint64_t find_leaf(uint64_t virt, uint64_t *span)
{
	const uint64_t *table = tables.pml4;

	for (unsigned level = TOP_LEVEL; ; level--) {
		uint64_t entry = table[pt_index(virt, level)];

		*span = pt_span(level);
		if (!(entry & PTE_P))
			return 0;
		if (level == 1 || (level < TOP_LEVEL && (entry & PTE_PS)))
			return entry;
		table = entry_table(entry);
	}
}

/* Panic if the direct map could write to our code or constants. */
static void check_alias(const struct handoff *handoff)
{
	uint64_t span, start = DIRECT_MAP_BASE + handoff->hv_start - handoff->hv_link;

	for (const uint8_t *at = __text_start; at < __rodata_end; at += PAGE_SIZE)
		if (find_leaf(start + (uint64_t)(uintptr_t)at, &span) & PTE_W)
			panic("our own code or constants at %p are writable through the direct map", (const void *)at);
}

void paging_init(const struct handoff *handoff)
{
	tables.pml4 = new_table();
	tables.last_top = new_table();
	map_image(handoff);
	unmap_guards();
	map_image_alias(handoff);
	map_direct(0, LARGE_SIZE, 0, 1);
	map_direct(LARGE_SIZE, LOW_4G, 0, 2);
	for (uint32_t i = 0; i < min_u64(handoff->region_count, HANDOFF_REGIONS_MAX); i++)
		map_region(&handoff->regions[i]);
	forbid_execution();
	check_alias(handoff);
	tables.root = ptr_hpa(tables.pml4).raw;
	tables.efi_reset_system = handoff->efi_reset_system;
	write_cr3(tables.root);
}

/* Below 4 GiB everything is mapped. PCD stands for UC-, which an MTRR may turn into write-combining. */
void *paging_map_device(hpa_t start, uint64_t len, int is_write_combining)
{
	uint64_t first = align_down(start.raw, LARGE_SIZE), last = align_up(start.raw + len, LARGE_SIZE);

	if (last > LOW_4G) {
		map_direct(max_u64(first, LOW_4G), last, PTE_PCD | (is_write_combining ? 0 : PTE_PWT), 2);
		forbid_execution();
	}
	return hpa_ptr(start);
}

bool paging_is_mapped(hpa_t start, uint64_t len)
{
	uint64_t limit = 1ULL << cpu_features.phys_bits, span;

	if (!range_fits(start.raw, len, limit))
		return false;
	for (uint64_t at = start.raw; at < start.raw + len; at = align_down(at, span) + span)
		if (!(find_leaf(DIRECT_MAP_BASE + at, &span) & PTE_P))
			return false;
	return true;
}

uint64_t paging_root(void)
{
	return tables.root;
}

bool paging_populate(uint64_t virt, uint64_t len)
{
	for (uint64_t at = virt; at < virt + len; at += PAGE_SIZE) {
		void *page = page_alloc();

		if (!page)
			return false;
		*leaf_entry(at) = ptr_hpa(page).raw | PAGE_FLAGS | PTE_W | nx_flag();
	}
	forbid_execution();
	return true;
}

void paging_make_identity(uint64_t *top)
{
	memcpy(top, tables.pml4, PAGE_SIZE);
	for (unsigned i = 0; i < HALF - 1; i++)
		top[i] = tables.pml4[HALF + i] & ~PTE_NX;
}

/* ---- Off ---- */

#define EFI_RESET_SHUTDOWN	2U	/* UEFI specification, "ResetSystem()" */

typedef void __attribute__((ms_abi)) efi_reset_fn(uint32_t type, uint64_t status, size_t size, const void *data);

struct port_write { uint16_t port, val; };

/* Sleep state S5 of emulated chip sets, where the firmware gave us nothing better; harmless elsewhere. */
static const struct port_write power_off_ports[] = {
	{ 0x604, 0x2000 },	/* QEMU q35 */
	{ 0xb004, 0x2000 },	/* QEMU and Bochs, i440FX */
};

/*
 * The second try, after a fault inside the firmware brought us back here through panic, goes straight to
 * the ports.
 */
void host_power_off(uint64_t efi_reset_system)
{
	static bool is_tried;
	uint64_t addr = efi_reset_system ? efi_reset_system : tables.efi_reset_system;

	cpu_cli();
	if (addr && tables.root && !is_tried) {
		efi_reset_fn *reset = (efi_reset_fn *)(uintptr_t)addr;

		is_tried = true;
		write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
		write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
		paging_make_identity(tables.last_top);
		write_cr3(ptr_hpa(tables.last_top).raw);
		__asm__ volatile("cld; fninit" : : : "memory");
		reset(EFI_RESET_SHUTDOWN, 0, 0, NULL);
	}
	for (size_t i = 0; i < countof(power_off_ports); i++)
		outw(power_off_ports[i].port, power_off_ports[i].val);
	cpu_stop();
}
