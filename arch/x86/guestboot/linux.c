/* SPDX-License-Identifier: MIT */
/*
 * Linux' bzImage by the kernel documentation's "The Linux/x86 Boot Protocol". Both ways in get a zero page (struct
 * boot_params) whose address is in RSI, and the protected-mode part at the address it prefers:
 *
 *   "64-bit BOOT PROTOCOL", where xloadflags offers it: long mode with the first 4 GiB mapped to themselves
 *   "32-bit BOOT PROTOCOL", else, from version 2.04 (Linux 2.6.14) on: flat protected mode without paging
 *
 *   01000 GDT   02000 PML4   03000 PDPT   04000-07fff PDs   10000 zero page   20000 command line
 *
 * All of it is RAM to the kernel, which leaves it for tables of its own before it hands out memory.
 * The 16-bit entry is not offered: it needs a BIOS.
 */
#include "arch/x86/guestboot/boot_image.h"

#include "arch/x86/hw/desc.h"
#include "arch/x86/hw/pte.h"
#include "arch/x86/virt/reset.h"
#include "hv/lib/pc.h"
#include "hv/lib/util.h"

#define LINUX_GDT		0x01000ULL
#define LINUX_PML4		0x02000ULL
#define LINUX_PDPT		0x03000ULL
#define LINUX_PD		0x04000ULL
#define LINUX_PD_COUNT		4U		/* one GiB each */
#define LINUX_STACK_TOP		0x10000ULL	/* the kernel sets its own at once */
#define LINUX_ZERO_PAGE		0x10000ULL
#define LINUX_CMDLINE		0x20000ULL

/* Offsets in the image and, from SETUP_SECTS on, in the zero page: the same struct setup_header. */
enum header {
	HDR_SETUP_SECTS		= 0x1f1,
	HDR_SYSSIZE		= 0x1f4,
	HDR_VID_MODE		= 0x1fa,
	HDR_BOOT_FLAG		= 0x1fe,
	HDR_JUMP_LENGTH		= 0x201,	/* the header ends where the jump over it lands */
	HDR_MAGIC		= 0x202,
	HDR_VERSION		= 0x206,
	HDR_TYPE_OF_LOADER	= 0x210,
	HDR_LOADFLAGS		= 0x211,
	HDR_CODE32_START	= 0x214,
	HDR_RAMDISK_IMAGE	= 0x218,
	HDR_RAMDISK_SIZE	= 0x21c,
	HDR_CMD_LINE_PTR	= 0x228,
	HDR_INITRD_ADDR_MAX	= 0x22c,
	HDR_KERNEL_ALIGNMENT	= 0x230,
	HDR_RELOCATABLE		= 0x234,
	HDR_XLOADFLAGS		= 0x236,
	HDR_CMDLINE_SIZE	= 0x238,
	HDR_SETUP_DATA		= 0x250,
	HDR_PREF_ADDRESS	= 0x258,
	HDR_INIT_SIZE		= 0x260,
	HDR_END_2_04		= 0x230,	/* first byte after the fields of 2.04 */
	HDR_END_MAX		= 0x290,	/* the next member of the zero page */
};

enum zero_page {
	ZP_ACPI_RSDP_ADDR	= 0x070,
	ZP_EXT_RAMDISK_IMAGE	= 0x0c0,
	ZP_EXT_RAMDISK_SIZE	= 0x0c4,
	ZP_E820_ENTRIES		= 0x1e8,
	ZP_E820_TABLE		= 0x2d0,
};

#define E820_ENTRY_SIZE		20U
#define SYSSIZE_UNIT		16ULL		/* rounded up: the file may lack the last 15 bytes */
#define SETUP_SECTS_DEFAULT	4U
#define BOOT_FLAG		0xaa55U
#define HEADER_MAGIC		0x53726448U	/* "HdrS" */
/* Versions that brought a field; before, the default that the documentation gives. */
#define VERSION_2_04		0x0204U	/* syssize of 4 bytes; the oldest we start */
#define VERSION_RELOCATABLE	0x0205U	/* and kernel_alignment */
#define VERSION_CMDLINE_SIZE	0x0206U
#define VERSION_PREF_ADDRESS	0x020aU	/* and init_size */
#define VERSION_XLOADFLAGS	0x020cU
#define CMDLINE_SIZE_DEFAULT	255U
#define LOADER_UNREGISTERED	0xffU
#define LOADFLAGS_LOADED_HIGH	0x01U
#define LOADFLAGS_KEEP_SEGMENTS	0x40U
#define LOADFLAGS_CAN_USE_HEAP	0x80U
#define XLF_KERNEL_64		0x01U
#define XLF_ABOVE_4G		0x02U
#define VID_MODE_NORMAL		0xffffU
#define ENTRY_32		0U
#define ENTRY_64		0x200U

#define PD_PIECE		64U		/* entries */
_Static_assert(PT_ENTRIES % PD_PIECE == 0, "the last piece ends with its table");
#define TABLE_ENTRY		(PTE_P | PTE_W | PTE_A)
#define LARGE_ENTRY		(TABLE_ENTRY | PTE_D | PTE_PS)

struct linux_image {
	bool     is_64;			/* has the 64-bit entry */
	uint64_t entry;			/* offset in the protected-mode part */
	uint64_t setup_size;		/* bytes before the protected-mode part */
	uint64_t payload_size;		/* bytes of it */
	uint64_t span;			/* RAM it needs to unpack itself */
	uint64_t load_addr;
	uint64_t initrd_addr;
};

bool linux_probe(const struct image *image)
{
	return image_u16(image, HDR_BOOT_FLAG) == BOOT_FLAG && image_u32(image, HDR_MAGIC) == HEADER_MAGIC;
}

/* A field of the header; `before` when the image is older than the field and has something else in its place. */
static uint64_t field(const struct image *kernel, unsigned since, enum header at, size_t size, uint64_t before)
{
	return image_u16(kernel, HDR_VERSION) >= since ? image_number(kernel, at, size) : before;
}

static uint32_t xloadflags(const struct image *kernel)
{
	return (uint32_t)field(kernel, VERSION_XLOADFLAGS, HDR_XLOADFLAGS, sizeof(uint16_t), 0);
}

static const char *parse(const struct image *kernel, struct linux_image *linux_image)
{
	uint64_t sects = image_u8(kernel, HDR_SETUP_SECTS);
	uint64_t system = image_u32(kernel, HDR_SYSSIZE) * SYSSIZE_UNIT;

	if (!linux_probe(kernel))
		return "not a bzImage: no \"HdrS\" at offset 0x202";
	if (image_u16(kernel, HDR_VERSION) < VERSION_2_04)
		return "its boot protocol is older than 2.04 (Linux 2.6.14)";
	if (!(image_u8(kernel, HDR_LOADFLAGS) & LOADFLAGS_LOADED_HIGH))
		return "a zImage, which loads below 1 MiB: build a bzImage";

	linux_image->is_64 = xloadflags(kernel) & XLF_KERNEL_64;
	/* iPXE's ipxe.lkrn: its second part is packed data that its real-mode part unpacks. */
	if (!linux_image->is_64 && !image_u32(kernel, HDR_CODE32_START))
		return "it starts in real mode only, with a BIOS (code32_start is 0); there is no BIOS here";
	linux_image->entry = linux_image->is_64 ? ENTRY_64 : ENTRY_32;
	linux_image->setup_size = ((sects ? sects : SETUP_SECTS_DEFAULT) + 1) * SECTOR_SIZE;
	if (!image_has(kernel, linux_image->setup_size, linux_image->entry + 1))
		return "truncated: nothing at its entry point";
	if (system >= SYSSIZE_UNIT && !image_has(kernel, linux_image->setup_size, system - SYSSIZE_UNIT + 1))
		return "truncated: shorter than its header says (syssize); copy it again";
	linux_image->payload_size = kernel->length - linux_image->setup_size;
	linux_image->span = max_u64(field(kernel, VERSION_PREF_ADDRESS, HDR_INIT_SIZE, sizeof(uint32_t), 0),
				    linux_image->payload_size);
	return NULL;
}

/* Below the device hole too, because only the first 4 GiB are mapped when the kernel starts. */
static bool is_loadable(const struct guest_boot *boot, uint64_t addr, uint64_t span)
{
	return addr >= MEMORY_HIGH && range_fits(addr, span, MEMORY_DEVICE_HOLE) &&
	       memory_map_is_usable(&boot->map, addr, span);
}

/*
 * Not below its preferred address: a relocatable kernel that was loaded lower moves itself up to that
 * address before it unpacks itself (the formula is with "init_size" in the boot protocol).
 */
static const char *place_kernel(const struct guest_boot *boot, struct linux_image *linux_image)
{
	const struct image *kernel = &boot->kernel;
	uint64_t preferred = field(kernel, VERSION_PREF_ADDRESS, HDR_PREF_ADDRESS, sizeof(uint64_t), MEMORY_HIGH);
	uint64_t align = field(kernel, VERSION_RELOCATABLE, HDR_KERNEL_ALIGNMENT, sizeof(uint32_t), 0);

	linux_image->load_addr = preferred;
	if (is_loadable(boot, preferred, linux_image->span))
		return NULL;
	if (!field(kernel, VERSION_RELOCATABLE, HDR_RELOCATABLE, sizeof(uint8_t), 0) || align < PAGE_SIZE || align & (align - 1))
		return "the RAM at the address it must be loaded to does not suffice: give the VM more memory";
	linux_image->load_addr = align_up(MEMORY_HIGH, align);
	if (preferred <= linux_image->load_addr && is_loadable(boot, linux_image->load_addr, linux_image->span))
		return NULL;
	return "too little RAM to unpack it (init_size): give the VM more memory, 128M is enough for most";
}

/* As high as the kernel reads it, so that it is out of the way; above 4 GiB only when it fits nowhere else. */
static const char *place_initrd(const struct guest_boot *boot, struct linux_image *linux_image)
{
	uint64_t floor = linux_image->load_addr + linux_image->span;
	uint64_t len = boot->initrd.length, *addr = &linux_image->initrd_addr;
	uint64_t last = image_u32(&boot->kernel, HDR_INITRD_ADDR_MAX);
	bool     may_be_high = linux_image->is_64 && xloadflags(&boot->kernel) & XLF_ABOVE_4G;

	if (!boot->initrd.data)
		return NULL;
	if (memory_map_place_high(&boot->map, len, PAGE_SIZE, floor, last, addr))
		return NULL;
	if (may_be_high && memory_map_place_high(&boot->map, len, PAGE_SIZE, floor, UINT64_MAX, addr))
		return NULL;
	return "the initrd does not fit beside the kernel: give the VM more memory";
}

/* Both protocols ask for code at selector 10h and data at 18h. */
static bool write_gdt(const struct guest_boot *boot, bool is_64)
{
	const uint64_t gdt[] = {
		[RESET_LINUX_CODE / sizeof(uint64_t)] = is_64 ? DESC_CODE64 : DESC_CODE32,
		[RESET_LINUX_DATA / sizeof(uint64_t)] = DESC_DATA,
	};

	return gpm_write(boot->gpm, gpa(LINUX_GDT), gdt, sizeof(gdt));
}

/* Page directories whose 2 MiB pages map to themselves. In pieces: a walk of the slots for each entry takes too long. */
static bool write_large_entries(const struct guest_boot *boot, uint64_t table, uint64_t count)
{
	uint64_t piece[PD_PIECE];
	bool done = true;

	for (uint64_t first = 0; first < count && done; first += PD_PIECE) {
		for (uint64_t i = 0; i < PD_PIECE; i++)
			piece[i] = (first + i) * LARGE_SIZE | LARGE_ENTRY;
		done = gpm_write(boot->gpm, gpa(table + first * sizeof(uint64_t)), piece, sizeof(piece));
	}
	return done;
}

/* SDM vol. 3, 4.5 "4-Level Paging and 5-Level Paging": 2 MiB pages, the first 4 GiB to themselves. */
static bool write_page_tables(const struct guest_boot *boot)
{
	bool done = guest_put64(boot, LINUX_PML4, LINUX_PDPT | TABLE_ENTRY);

	for (uint64_t i = 0; i < LINUX_PD_COUNT && done; i++)
		done = guest_put64(boot, LINUX_PDPT + i * sizeof(uint64_t), (LINUX_PD + i * PAGE_SIZE) | TABLE_ENTRY);
	return done && write_large_entries(boot, LINUX_PD, LINUX_PD_COUNT * PT_ENTRIES);
}

static bool write_e820(const struct guest_boot *boot)
{
	uint8_t count = (uint8_t)boot->map.count;

	for (size_t i = 0; i < boot->map.count; i++) {
		const struct memory_range *range = &boot->map.ranges[i];
		uint64_t entry = LINUX_ZERO_PAGE + ZP_E820_TABLE + i * E820_ENTRY_SIZE;

		if (!guest_put64(boot, entry, range->start) ||
		    !guest_put64(boot, entry + sizeof(uint64_t), range->length) ||
		    !guest_put32(boot, entry + 2 * sizeof(uint64_t), range->kind))
			return false;
	}
	return gpm_write(boot->gpm, gpa(LINUX_ZERO_PAGE + ZP_E820_ENTRIES), &count, sizeof(count));
}

/* The image's own header, then what a boot loader has to say about it. */
static bool write_setup_header(const struct guest_boot *boot, const struct linux_image *linux_image)
{
	const struct image *kernel = &boot->kernel;
	uint64_t end = min_u64(HDR_MAGIC + (uint64_t)image_u8(kernel, HDR_JUMP_LENGTH), HDR_END_MAX);
	uint8_t  loader = LOADER_UNREGISTERED;
	uint8_t  flags = (uint8_t)((image_u8(kernel, HDR_LOADFLAGS) | LOADFLAGS_KEEP_SEGMENTS) &
				   ~LOADFLAGS_CAN_USE_HEAP);
	uint16_t vid_mode = VID_MODE_NORMAL;
	struct gpm *gpm = boot->gpm;

	end = min_u64(max_u64(end, HDR_END_2_04), kernel->length);
	return gpm_fill(gpm, gpa(LINUX_ZERO_PAGE), 0, PAGE_SIZE) &&
	       gpm_write(gpm, gpa(LINUX_ZERO_PAGE + HDR_SETUP_SECTS), kernel->data + HDR_SETUP_SECTS,
			 end - HDR_SETUP_SECTS) &&
	       gpm_write(gpm, gpa(LINUX_ZERO_PAGE + HDR_TYPE_OF_LOADER), &loader, sizeof(loader)) &&
	       gpm_write(gpm, gpa(LINUX_ZERO_PAGE + HDR_LOADFLAGS), &flags, sizeof(flags)) &&
	       gpm_write(gpm, gpa(LINUX_ZERO_PAGE + HDR_VID_MODE), &vid_mode, sizeof(vid_mode)) &&
	       guest_put32(boot, LINUX_ZERO_PAGE + HDR_CODE32_START, (uint32_t)linux_image->load_addr) &&
	       guest_put32(boot, LINUX_ZERO_PAGE + HDR_CMD_LINE_PTR, LINUX_CMDLINE) &&
	       guest_put64(boot, LINUX_ZERO_PAGE + HDR_SETUP_DATA, 0) &&
	       guest_put64(boot, LINUX_ZERO_PAGE + ZP_ACPI_RSDP_ADDR, boot->rsdp);
}

static bool write_initrd(const struct guest_boot *boot, const struct linux_image *linux_image)
{
	const struct { uint64_t low, high, val; } fields[] = {
		{ HDR_RAMDISK_IMAGE, ZP_EXT_RAMDISK_IMAGE, linux_image->initrd_addr },
		{ HDR_RAMDISK_SIZE, ZP_EXT_RAMDISK_SIZE, boot->initrd.length },
	};
	bool done = true;

	if (!boot->initrd.data)
		return true;
	for (size_t i = 0; i < countof(fields) && done; i++)
		done = guest_put32(boot, LINUX_ZERO_PAGE + fields[i].low, (uint32_t)fields[i].val) &&
		       guest_put32(boot, LINUX_ZERO_PAGE + fields[i].high, (uint32_t)(fields[i].val >> 32));
	return done && guest_copies_add(boot->copies, linux_image->initrd_addr, boot->initrd.data, boot->initrd.length);
}

static bool write_kernel(const struct guest_boot *boot, const struct linux_image *linux_image)
{
	return guest_copies_add(boot->copies, linux_image->load_addr, boot->kernel.data + linux_image->setup_size,
				linux_image->payload_size) &&
	       gpm_write(boot->gpm, gpa(LINUX_CMDLINE), boot->cmdline, strlen(boot->cmdline) + 1);
}

static void start_state(const struct linux_image *linux_image, struct reset_state *state)
{
	const struct segment gdt = { .base = LINUX_GDT, .limit = RESET_LINUX_DATA + sizeof(uint64_t) - 1 };
	uint64_t entry = linux_image->load_addr + linux_image->entry;

	if (linux_image->is_64)
		reset_long_mode(state, entry, LINUX_PML4);
	else
		reset_protected_mode(state, (uint32_t)entry, RESET_LINUX_CODE, RESET_LINUX_DATA);
	state->seg[SEG_GDTR] = gdt;
	state->rsp = LINUX_STACK_TOP;
	state->gpr[GPR_RSI] = LINUX_ZERO_PAGE;
}

const char *linux_load(const struct guest_boot *boot, struct reset_state *state)
{
	struct linux_image linux_image = { 0 };
	const char *why = parse(&boot->kernel, &linux_image);

	if (!why && strlen(boot->cmdline) > field(&boot->kernel, VERSION_CMDLINE_SIZE, HDR_CMDLINE_SIZE,
						  sizeof(uint32_t), CMDLINE_SIZE_DEFAULT))
		why = "the command line is longer than this kernel takes";
	if (!why)
		why = place_kernel(boot, &linux_image);
	if (!why)
		why = place_initrd(boot, &linux_image);
	if (why)
		return why;
	if (!write_setup_header(boot, &linux_image) || !write_e820(boot) || !write_initrd(boot, &linux_image) ||
	    !write_gdt(boot, linux_image.is_64) || (linux_image.is_64 && !write_page_tables(boot)) ||
	    !write_kernel(boot, &linux_image))
		return "out of host memory while it was copied";
	start_state(&linux_image, state);
	return NULL;
}
