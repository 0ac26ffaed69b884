/* SPDX-License-Identifier: MIT */
/*
 * Leave the firmware: UEFI 2.10, 7.4 "Image Services", EFI_BOOT_SERVICES.ExitBootServices().
 *
 * The order is forced. Everything that allocates comes first: the page tables, the stack, a buffer for the memory
 * map with room to spare. Then the map is read and its key handed back at once; if an event of the firmware changed
 * the map in between, the call fails and only reading the map again is allowed. After it succeeded there is no
 * screen output, no allocation, and nobody to return to.
 */
#include "boot/leave.h"

#include "arch/x86/hw/cr.h"
#include "arch/x86/hw/insn.h"
#include "boot/memmap.h"
#include "boot/paging.h"
#include "boot/print.h"
#include "hv/lib/pc.h"

#define LEAVE_STACK_SIZE	(32ULL << 10)
#define LOW_END		(4ULL << 30)	/* devices and firmware tables live below it */
#define ATTEMPTS	8

struct departure {
	const struct firmware *fw;
	struct handoff *handoff;
	struct firmware_map map;
	uint64_t *tables, tables_length;
	uint64_t *root;
	uint64_t stack;
};

_Static_assert(sizeof(struct memmap_descriptor) == sizeof(EFI_MEMORY_DESCRIPTOR),
	       "memmap.h repeats UEFI's layout");

/* ---- Memory ------------------------------------------------------------------------------------------ */

/* The region list: the firmware's map, and on top of it what we put there. */
static bool describe_memory(const struct departure *go)
{
	const struct memmap_source source = { go->map.buffer, go->map.size, go->map.entry_size };
	struct handoff *handoff = go->handoff;
	bool room = memmap_build(&source, handoff) &&
		    memmap_set(handoff, handoff->hv_start, handoff->hv_length, REGION_HV) &&
		    memmap_set(handoff, (uint64_t)handoff, sizeof(*handoff), REGION_LOADER) &&
		    memmap_set(handoff, (uint64_t)go->tables, go->tables_length, REGION_LOADER) &&
		    memmap_set(handoff, go->stack, LEAVE_STACK_SIZE, REGION_LOADER);

	for (uint32_t i = 0; room && i < handoff->file_count; i++)
		room = memmap_set(handoff, handoff->files[i].start, handoff->files[i].length,
				  REGION_FILE);
	return room;
}

static void get_map_buffer(struct departure *go)
{
	if (!firmware_get_map(go->fw, &go->map))
		firmware_fail(go->fw, "no memory map",
			      "TZ-E034 the firmware does not give its memory map");
	if (!describe_memory(go))
		firmware_fail(go->fw, "no memory map",
			      "TZ-E034 the firmware's memory map has more than %u regions",
			      HANDOFF_REGIONS_MAX);
}

/* ---- Page tables -------------------------------------------------------------------------------------- */

/* Memory above 4 GiB that needs a mapping of its own; everything below has one. */
static bool is_high_memory(const struct handoff_region *region)
{
	return region->start + region->length > LOW_END && region->kind != REGION_MMIO &&
	       region->kind != REGION_RESERVED;
}

static void get_tables(struct departure *go)
{
	const struct handoff *handoff = go->handoff;
	uint64_t bytes = LOW_END + handoff->framebuffer.length;
	size_t stretches = 2;

	for (uint32_t i = 0; i < handoff->region_count; i++)
		if (is_high_memory(&handoff->regions[i])) {
			bytes += handoff->regions[i].length;
			stretches++;
		}
	go->tables_length =
		paging_tables_needed(stretches, bytes, handoff->hv_length) * FIRMWARE_PAGE;
	go->tables = firmware_pages(go->fw, go->tables_length);
	go->stack = (uint64_t)firmware_pages(go->fw, LEAVE_STACK_SIZE);
	if (!go->tables || !go->stack)
		firmware_fail(go->fw, "out of memory", "TZ-E032 no memory for page tables");
}

static bool map_memory(struct paging_pool *pool, uint64_t *root, const struct handoff *handoff)
{
	bool room = paging_identity(pool, root, 0, LOW_END) &&
		    paging_identity(pool, root, handoff->framebuffer.base,
				    handoff->framebuffer.length) &&
		    paging_map(pool, root, handoff->hv_link, handoff->hv_start, handoff->hv_length);

	for (uint32_t i = 0; room && i < handoff->region_count; i++)
		if (is_high_memory(&handoff->regions[i]))
			room = paging_identity(pool, root, handoff->regions[i].start,
					       handoff->regions[i].length);
	return room;
}

static void build_tables(struct departure *go)
{
	struct paging_pool pool = {
		.next = go->tables, .pages_left = go->tables_length / FIRMWARE_PAGE,
	};

	go->root = paging_root(&pool);
	if (!go->root || !map_memory(&pool, go->root, go->handoff))
		firmware_fail(go->fw, "out of memory",
			      "TZ-E032 too few pages for page tables (a bug in boot/)");
}

/* ---- The step ------------------------------------------------------------------------------------------ */

/* Too late for the screen and for firmware_fail. */
__attribute__((noreturn)) static void fail_late(const struct departure *go, const char *why)
{
	print("boot: TZ-E034 %s\n", why);
	firmware_say_end(go->fw, "cannot leave the firmware");
	go->fw->system->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL);
	cpu_stop();
}

static void exit_boot_services(struct departure *go)
{
	print_leave_screen();
	for (unsigned attempt = 1; attempt <= ATTEMPTS; attempt++) {
		EFI_STATUS status = firmware_read_map(go->fw, &go->map);

		if (!EFI_ERROR(status))
			status = go->fw->services->ExitBootServices(go->fw->image, go->map.key);
		if (!EFI_ERROR(status))
			return;
		print("boot: attempt %u to leave the firmware: status 0x%llx\n", attempt,
		      (unsigned long long)status);
	}
	fail_late(go, "ExitBootServices fails again and again");
}

/*
 * Control-flow enforcement would fault on the jump, and global pages of the firmware would survive the new CR3.
 * The code and stack we run on have the same addresses in both maps.
 */
__attribute__((noreturn)) static void jump(const struct departure *go, uint64_t entry)
{
	cpu_cli();
	write_cr4(read_cr4() & ~(CR4_CET | CR4_PGE | CR4_PCIDE));
	write_cr3((uint64_t)go->root);
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "push $0\n\t"		/* as if called from nowhere: ends a backtrace */
			 "jmp *%1"
			 : : "a"(go->stack + LEAVE_STACK_SIZE), "c"(entry), "D"(go->handoff) : "memory");
	__builtin_unreachable();
}

static uint64_t free_bytes(const struct handoff *handoff)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < handoff->region_count; i++)
		if (handoff->regions[i].kind == REGION_FREE)
			bytes += handoff->regions[i].length;
	return bytes;
}

void leave(const struct firmware *fw, struct handoff *handoff, uint64_t entry)
{
	struct departure go = { .fw = fw, .handoff = handoff };

	if (read_cr4() & CR4_LA57)
		firmware_fail(fw, "5-level paging",
			      "TZ-E033 the firmware runs with 5-level paging: turn off LA57 "
			      "(\"5-level paging\") in its setup");
	get_map_buffer(&go);
	get_tables(&go);
	build_tables(&go);
	print("boot: %llu MiB free in %u regions, leaving the firmware\n",
	      (unsigned long long)free_bytes(handoff) >> MIB_SHIFT, handoff->region_count);
	exit_boot_services(&go);
	if (!describe_memory(&go))
		fail_late(&go, "the final memory map has too many regions");
	jump(&go, entry);
}
