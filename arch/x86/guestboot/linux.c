/* SPDX-License-Identifier: MIT */
/*
 * Linux' bzImage by its 64-bit boot protocol (kernel documentation, "The Linux/x86 Boot Protocol", section
 * "64-bit BOOT PROTOCOL"): long mode with the first 4 GiB mapped to themselves, the protected-mode part at
 * the address it prefers, a zero page (struct boot_params) whose address is in RSI.
 *
 *   01000 GDT   02000 PML4   03000 PDPT   04000-07fff PDs   10000 zero page   20000 command line
 *
 * All of it is RAM to the kernel, which leaves it for tables of its own before it hands out memory.
 * The 16-bit entry and versions before 2.12 (Linux 3.8) are not offered: they need a BIOS or 32-bit entry.
 */
#include "arch/x86/guestboot/boot_image.h"

#include "arch/x86/virt/reset.h"
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
	HDR_END_2_12		= 0x268,	/* first byte after the fields of 2.12 */
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
#define SECTOR			512U
#define SYSSIZE_UNIT		16ULL		/* rounded up: the file may lack the last 15 bytes */
#define SETUP_SECTS_DEFAULT	4U
#define BOOT_FLAG		0xaa55U
#define HEADER_MAGIC		0x53726448U	/* "HdrS" */
#define VERSION_2_12		0x020cU
#define LOADER_UNREGISTERED	0xffU
#define LOADFLAGS_LOADED_HIGH	0x01U
#define LOADFLAGS_KEEP_SEGMENTS	0x40U
#define LOADFLAGS_CAN_USE_HEAP	0x80U
#define XLF_KERNEL_64		0x01U
#define XLF_ABOVE_4G		0x02U
#define VID_MODE_NORMAL		0xffffU
#define ENTRY_64		0x200U

#define PTE_TABLE		0x23ULL		/* present, writable, accessed */
#define PTE_LARGE		0xe3ULL		/* and dirty, 2 MiB page */
#define PTE_SIZE		8U
#define PTES			512U

struct linux_image {
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

static const char *parse(const struct image *kernel, struct linux_image *linux_image)
{
	uint64_t sects = image_u8(kernel, HDR_SETUP_SECTS);
	uint64_t system = image_u32(kernel, HDR_SYSSIZE) * SYSSIZE_UNIT;

	if (!linux_probe(kernel))
		return "not a bzImage: no \"HdrS\" at offset 0x202";
	if (image_u16(kernel, HDR_VERSION) < VERSION_2_12 || !image_has(kernel, 0, HDR_END_2_12))
		return "its boot protocol is older than 2.12 (Linux 3.8)";
	if (!(image_u16(kernel, HDR_XLOADFLAGS) & XLF_KERNEL_64))
		return "no 64-bit entry point (XLF_KERNEL_64 is clear): a 32-bit kernel";
	if (!(image_u8(kernel, HDR_LOADFLAGS) & LOADFLAGS_LOADED_HIGH))
		return "a zImage, which loads below 1 MiB: build a bzImage";

	linux_image->setup_size = ((sects ? sects : SETUP_SECTS_DEFAULT) + 1) * SECTOR;
	if (!image_has(kernel, linux_image->setup_size, ENTRY_64 + 1))
		return "truncated: nothing at the 64-bit entry point";
	if (system >= SYSSIZE_UNIT && !image_has(kernel, linux_image->setup_size, system - SYSSIZE_UNIT + 1))
		return "truncated: shorter than its header says (syssize); copy it again";
	linux_image->payload_size = kernel->length - linux_image->setup_size;
	linux_image->span = max_u64(image_u32(kernel, HDR_INIT_SIZE), linux_image->payload_size);
	return NULL;
}

/* Below the device hole too, because only the first 4 GiB are mapped when the kernel starts. */
static bool is_loadable(const struct guest_boot *boot, uint64_t addr, uint64_t span)
{
	return addr >= MEMORY_HIGH && range_fits(addr, span, MEMORY_DEVICE_HOLE) &&
	       memory_map_is_usable(&boot->map, addr, span);
}

/*
 * Below its preferred address nothing is gained: a relocatable kernel moves itself up to there before it unpacks
 * (the boot protocol's "init_size" has the formula).
 */
static const char *place_kernel(const struct guest_boot *boot, struct linux_image *linux_image)
{
	uint64_t preferred = image_u64(&boot->kernel, HDR_PREF_ADDRESS);
	uint64_t align = image_u32(&boot->kernel, HDR_KERNEL_ALIGNMENT);

	linux_image->load_addr = preferred;
	if (is_loadable(boot, preferred, linux_image->span))
		return NULL;
	if (!image_u8(&boot->kernel, HDR_RELOCATABLE) || align < PAGE_SIZE || align & (align - 1))
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
	bool     may_be_high = image_u16(&boot->kernel, HDR_XLOADFLAGS) & XLF_ABOVE_4G;

	if (!boot->initrd.data)
		return NULL;
	if (memory_map_place_high(&boot->map, len, PAGE_SIZE, floor, last, addr))
		return NULL;
	if (may_be_high && memory_map_place_high(&boot->map, len, PAGE_SIZE, floor, UINT64_MAX, addr))
		return NULL;
	return "the initrd does not fit beside the kernel: give the VM more memory";
}

static bool write_gdt(const struct guest_boot *boot)
{
	static const uint64_t gdt[] = {
		[RESET_LONG_CODE / sizeof(uint64_t)] = DESC_CODE64,
		[RESET_LONG_DATA / sizeof(uint64_t)] = DESC_DATA,
	};

	return gpm_write(boot->gpm, gpa(LINUX_GDT), gdt, sizeof(gdt));
}

/* SDM vol. 3, 4.5 "4-Level Paging and 5-Level Paging": 2 MiB pages, the first 4 GiB to themselves. */
static bool write_page_tables(const struct guest_boot *boot)
{
	bool done = guest_put64(boot, LINUX_PML4, LINUX_PDPT | PTE_TABLE);

	for (uint64_t i = 0; i < LINUX_PD_COUNT && done; i++)
		done = guest_put64(boot, LINUX_PDPT + i * PTE_SIZE, (LINUX_PD + i * PAGE_SIZE) | PTE_TABLE);
	for (uint64_t i = 0; i < LINUX_PD_COUNT * PTES && done; i++)
		done = guest_put64(boot, LINUX_PD + i * PTE_SIZE, i * LARGE_SIZE | PTE_LARGE);
	return done;
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

	end = min_u64(max_u64(end, HDR_END_2_12), kernel->length);
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

const char *linux_load(const struct guest_boot *boot, struct reset_state *state)
{
	struct linux_image linux_image = { 0 };
	const char *why = parse(&boot->kernel, &linux_image);

	if (!why && strlen(boot->cmdline) > image_u32(&boot->kernel, HDR_CMDLINE_SIZE))
		why = "the command line is longer than this kernel takes";
	if (!why)
		why = place_kernel(boot, &linux_image);
	if (!why)
		why = place_initrd(boot, &linux_image);
	if (why)
		return why;
	if (!write_setup_header(boot, &linux_image) || !write_e820(boot) || !write_initrd(boot, &linux_image) ||
	    !write_gdt(boot) || !write_page_tables(boot) || !write_kernel(boot, &linux_image))
		return "out of host memory while it was copied";

	reset_long_mode(state, linux_image.load_addr + ENTRY_64, LINUX_PML4, LINUX_GDT,
			RESET_LONG_DATA + sizeof(uint64_t) - 1);
	state->rsp = LINUX_STACK_TOP;
	state->gpr[GPR_RSI] = LINUX_ZERO_PAGE;
	return NULL;
}
