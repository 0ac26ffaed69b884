/* SPDX-License-Identifier: MIT */
/*
 * What a Multiboot kernel is told (specification 3.3 "Boot information format"): memory, command line,
 * modules, loader name, in one block of guest RAM. A GDT goes with it although the specification lets
 * GDTR be invalid: other loaders leave one, and kernels have come to lean on it.
 */
#include "arch/x86/guestboot/multiboot.h"

#include "arch/x86/hw/desc.h"
#include "arch/x86/virt/reset.h"
#include "hv/lib/pc.h"

#define BOOT_MAGIC		0x2badb002U
#define INFO_MEMORY		0x001U
#define INFO_CMDLINE		0x004U
#define INFO_MODULES		0x008U
#define INFO_MMAP		0x040U
#define INFO_LOADER_NAME	0x200U
#define LOADER_NAME		"Trapeze"

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives[2], config_table, boot_loader_name, apm_table;
};

struct info_module { uint32_t start, end, string, reserved; };
struct info_range { uint32_t size, start[2], length[2], kind; };	/* 64-bit fields at 4-byte alignment */

/* Everything but the texts, in the order it lies in guest memory. */
struct info_block {
	uint64_t           gdt[RESET_MULTIBOOT_DATA / sizeof(uint64_t) + 1];
	struct info        info;
	struct info_module modules[GUEST_MODULES_MAX];
	struct info_range  ranges[MEMORY_RANGES_MAX];
};

_Static_assert(sizeof(struct info_block) + HANDOFF_CMDLINE_MAX + HANDOFF_PATH_MAX * (GUEST_MODULES_MAX + 1) <=
	       MULTIBOOT_INFO_AREA, "the texts must fit behind the block");

/* Put a text behind the last one; its address, or 0. The texts are bounded by the handoff's array sizes. */
static uint32_t put_text(const struct guest_boot *boot, uint64_t *at, uint64_t end, const char *text)
{
	uint64_t addr = *at;
	size_t   len = strlen(text) + 1;

	if (len > end - addr || !gpm_write(boot->gpm, gpa(addr), text, len))
		return 0;
	*at += len;
	return (uint32_t)addr;
}

static void fill_map(const struct guest_boot *boot, struct info_block *block)
{
	for (size_t i = 0; i < boot->map.count; i++) {
		const struct memory_range *range = &boot->map.ranges[i];

		block->ranges[i] = (struct info_range){
			.size = sizeof(struct info_range) - sizeof(uint32_t),
			.start = { (uint32_t)range->start, (uint32_t)(range->start >> 32) },
			.length = { (uint32_t)range->length, (uint32_t)(range->length >> 32) },
			.kind = range->kind,
		};
		if (range->start == MEMORY_HIGH)
			block->info.mem_upper = (uint32_t)(range->length / KIB);
	}
	block->info.mem_lower = MEMORY_EBDA / KIB;
	block->info.mmap_length = (uint32_t)(boot->map.count * sizeof(struct info_range));
}

bool multiboot_info_write(const struct guest_boot *boot, const struct multiboot_places *places,
			  struct reset_state *state)
{
	const uint32_t base = (uint32_t)places->info_addr;
	uint64_t text = places->info_addr + sizeof(struct info_block);
	uint64_t end = places->info_addr + MULTIBOOT_INFO_AREA;
	struct info_block block = {
		.gdt = { [RESET_MULTIBOOT_CODE / sizeof(uint64_t)] = DESC_CODE32,
			 [RESET_MULTIBOOT_DATA / sizeof(uint64_t)] = DESC_DATA },
		.info = {
			.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP | INFO_LOADER_NAME,
			.mods_count = (uint32_t)boot->module_count,
			.mods_addr = base + (uint32_t)offsetof(struct info_block, modules),
			.mmap_addr = base + (uint32_t)offsetof(struct info_block, ranges),
		},
	};

	fill_map(boot, &block);
	block.info.cmdline = put_text(boot, &text, end, boot->cmdline);
	block.info.boot_loader_name = put_text(boot, &text, end, LOADER_NAME);
	for (size_t i = 0; i < boot->module_count; i++)
		block.modules[i] = (struct info_module){
			.start = (uint32_t)places->module_addr[i],
			.end = (uint32_t)(places->module_addr[i] + boot->modules[i].length),
			.string = put_text(boot, &text, end, boot->modules[i].name),
		};
	state->seg[SEG_GDTR].base = places->info_addr + offsetof(struct info_block, gdt);
	state->seg[SEG_GDTR].limit = sizeof(block.gdt) - 1;
	state->gpr[GPR_RAX] = BOOT_MAGIC;
	state->gpr[GPR_RBX] = places->info_addr + offsetof(struct info_block, info);
	return gpm_write(boot->gpm, gpa(places->info_addr), &block, sizeof(block));
}
