/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (GNU, "Multiboot Specification version 0.6.96"): the way teaching kernels are started. An
 * ELF32 file, an ELF64 file whose entry is 32-bit code, or any file with the address fields; entered in
 * 32-bit protected mode without paging, EAX = 2BADB002h, EBX = the information structure.
 *
 * First the image is read into a list of pieces, each checked against the file and the memory map, then
 * placed: kernel at its addresses, modules page-aligned behind it, the information (multiboot_info.c) low or,
 * when the kernel itself lies there, behind the modules. There is no display: a kernel that requires
 * a linear framebuffer is refused, a wish for text mode is ignored.
 */
#include "arch/x86/guestboot/multiboot.h"

#include "arch/x86/virt/reset.h"
#include "hv/lib/util.h"

#define SEARCH_LIMIT		8192U
#define HEADER_MAGIC		0x1badb002U
#define HEADER_SIZE		12U
#define HEADER_SIZE_ADDRESSES	32U
#define HEADER_SIZE_VIDEO	48U

enum header { HDR_FLAGS = 4, HDR_HEADER_ADDR = 12, HDR_LOAD_ADDR = 16, HDR_LOAD_END_ADDR = 20, HDR_BSS_END_ADDR = 24,
	      HDR_ENTRY_ADDR = 28, HDR_MODE_TYPE = 32 };

#define FLAG_PAGE_ALIGN		0x00001U	/* always done */
#define FLAG_MEMORY_INFO	0x00002U	/* always given */
#define FLAG_VIDEO_MODE		0x00004U
#define FLAG_ADDRESSES		0x10000U
#define FLAGS_REQUIRED		0x0ffffU	/* unknown ones among these: the loader must refuse */
#define FLAGS_KNOWN		(FLAG_PAGE_ALIGN | FLAG_MEMORY_INFO | FLAG_VIDEO_MODE)
#define MODE_LINEAR		0U

#define ELF_MAGIC		0x464c457fU
#define ELF_CLASS		4U
#define ELF_DATA		5U
#define ELF_LITTLE_ENDIAN	1U
#define ELF_TYPE		16U
#define ELF_TYPE_EXEC		2U
#define ELF_MACHINE		18U
#define ELF_PT_LOAD		1U

/*
 * All program headers are read in one piece of the VM's start, at some 150 ticks each. A file may have 65,535 of them,
 * kernels have fewer than ten.
 */
#define ELF_HEADERS_MAX		64U
#define PIECES_MAX		32U
#define INFO_LOW		0x9000ULL

/* Where the fields of a program header and of the file header are, for both classes of ELF. */
struct elf_layout {
	uint8_t  elf_class;
	uint16_t machine;
	uint8_t  word;		/* size of addresses and offsets */
	uint8_t  entry, phoff, phentsize, phnum;
	uint8_t  ph_size, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz;
};

static const struct elf_layout elf_layouts[] = {
	{ 1, 3, 4, 24, 28, 42, 44, 32, 4, 8, 12, 16, 20 },	/* ELF32, EM_386 */
	{ 2, 62, 8, 24, 32, 54, 56, 56, 8, 16, 24, 32, 40 },	/* ELF64, EM_X86_64 */
};

struct piece {
	uint64_t offset, filesz;	/* in the file */
	uint64_t addr, memsz;		/* in RAM; the rest above filesz stays zero */
};

struct plan {
	size_t       count;
	struct piece pieces[PIECES_MAX];
	uint64_t     entry;
	uint64_t     end;		/* first byte above everything placed so far, at least 1 MiB */
	struct multiboot_places places;
};

/*
 * Offset of the header, or SEARCH_LIMIT when there is none. This is one piece of a VM's start (hv/README.md), and
 * 2,046 words of the file may look like the first of a header. So the bound is computed once, and
 * __builtin_memcpy reads without a call, which image_number() needs for each number.
 */
static uint64_t find_header(const struct image *image)
{
	const uint64_t end = min_u64(image->length, SEARCH_LIMIT);
	struct { uint32_t magic, flags, checksum; } words;

	_Static_assert(sizeof(words) == HEADER_SIZE, "the words that every header has");
	for (uint64_t at = 0; at + HEADER_SIZE <= end; at += sizeof(words.magic)) {
		__builtin_memcpy(&words, image->data + at, sizeof(words));
		if (words.magic == HEADER_MAGIC && words.magic + words.flags + words.checksum == 0)
			return at;
	}
	return SEARCH_LIMIT;
}

bool multiboot_probe(const struct image *image)
{
	return find_header(image) != SEARCH_LIMIT;
}

static const char *check_flags(const struct image *image, uint64_t header)
{
	uint32_t flags = image_u32(image, header + HDR_FLAGS);

	if (flags & FLAGS_REQUIRED & ~FLAGS_KNOWN)
		return "its Multiboot header requires features that do not exist (unknown flag bits)";
	if (!(flags & FLAG_VIDEO_MODE))
		return NULL;
	if (!image_has(image, header, HEADER_SIZE_VIDEO))
		return "truncated in the video fields of its Multiboot header";
	if (image_u32(image, header + HDR_MODE_TYPE) == MODE_LINEAR)
		return "its Multiboot header requires a linear framebuffer: there is no display here";
	return NULL;
}

static const char *add_piece(const struct guest_boot *boot, struct plan *plan, const struct piece *piece)
{
	if (!piece->memsz)
		return NULL;
	if (plan->count == PIECES_MAX)
		return "more than 32 loadable segments";
	if (piece->filesz > piece->memsz || !image_has(&boot->kernel, piece->offset, piece->filesz))
		return "a segment lies outside the file, or is larger in the file than in memory";
	if (!range_fits(piece->addr, piece->memsz, MEMORY_4GIB) ||
	    !memory_map_is_usable(&boot->map, piece->addr, piece->memsz))
		return "a segment lies outside the VM's RAM: give it more memory, or link it elsewhere";
	for (size_t i = 0; i < plan->count; i++)
		if (piece->addr < plan->pieces[i].addr + plan->pieces[i].memsz &&
		    plan->pieces[i].addr < piece->addr + piece->memsz)
			return "two segments overlap in memory";
	plan->pieces[plan->count++] = *piece;
	plan->end = max_u64(plan->end, piece->addr + piece->memsz);
	return NULL;
}

/* ---- The address fields ("a.out kludge"): one piece that contains the header ---- */

static const char *plan_addresses(const struct guest_boot *boot, struct plan *plan, uint64_t header)
{
	const struct image *image = &boot->kernel;
	uint64_t header_addr = image_u32(image, header + HDR_HEADER_ADDR);
	uint64_t load = image_u32(image, header + HDR_LOAD_ADDR);
	uint64_t load_end = image_u32(image, header + HDR_LOAD_END_ADDR);
	uint64_t bss_end = image_u32(image, header + HDR_BSS_END_ADDR);
	struct piece piece;

	if (!image_has(image, header, HEADER_SIZE_ADDRESSES))
		return "truncated in the address fields of its Multiboot header";
	if (load > header_addr || header_addr - load > header)
		return "load_addr in its Multiboot header points before the start of the file";
	piece.offset = header - (header_addr - load);
	piece.addr = load;
	if (load_end && load_end < load)
		return "load_end_addr in its Multiboot header is below load_addr";
	piece.filesz = load_end ? load_end - load : image->length - piece.offset;
	if (bss_end && bss_end < load + piece.filesz)
		return "bss_end_addr in its Multiboot header is below load_end_addr";
	piece.memsz = bss_end ? bss_end - load : piece.filesz;
	plan->entry = image_u32(image, header + HDR_ENTRY_ADDR);
	return add_piece(boot, plan, &piece);
}

/* ---- ELF ---- */

static const struct elf_layout *elf_find_layout(const struct image *image)
{
	if (image_u32(image, 0) != ELF_MAGIC || image_u8(image, ELF_DATA) != ELF_LITTLE_ENDIAN ||
	    image_u16(image, ELF_TYPE) != ELF_TYPE_EXEC)
		return NULL;
	for (size_t i = 0; i < countof(elf_layouts); i++)
		if (image_u8(image, ELF_CLASS) == elf_layouts[i].elf_class &&
		    image_u16(image, ELF_MACHINE) == elf_layouts[i].machine)
			return &elf_layouts[i];
	return NULL;
}

/* Kernels linked high name their entry by the linked address; translate it like the segment it is in. */
static void translate_entry(struct plan *plan, uint64_t linked, uint64_t vaddr, const struct piece *piece)
{
	if (linked >= vaddr && linked - vaddr < piece->memsz)
		plan->entry = piece->addr + (linked - vaddr);
}

static const char *plan_elf(const struct guest_boot *boot, struct plan *plan)
{
	const struct image *image = &boot->kernel;
	const struct elf_layout *elf = elf_find_layout(image);
	const char *why = NULL;

	if (!elf)
		return "a Multiboot header without address fields in a file that is no static x86 ELF program";
	uint64_t linked = image_number(image, elf->entry, elf->word);
	uint64_t phoff = image_number(image, elf->phoff, elf->word);
	uint64_t count = image_u16(image, elf->phnum);
	uint64_t step = image_u16(image, elf->phentsize);

	if (count > ELF_HEADERS_MAX)
		return "more than 64 ELF program headers";
	if (step < elf->ph_size || !image_has(image, phoff, count * step))
		return "its ELF program headers lie outside the file";
	plan->entry = linked;
	for (uint64_t i = 0; i < count && !why; i++) {
		uint64_t ph = phoff + i * step;
		const struct piece piece = {
			.offset = image_number(image, ph + elf->p_offset, elf->word),
			.filesz = image_number(image, ph + elf->p_filesz, elf->word),
			.addr = image_number(image, ph + elf->p_paddr, elf->word),
			.memsz = image_number(image, ph + elf->p_memsz, elf->word),
		};

		if (image_u32(image, ph) != ELF_PT_LOAD)
			continue;
		why = add_piece(boot, plan, &piece);
		translate_entry(plan, linked, image_number(image, ph + elf->p_vaddr, elf->word), &piece);
	}
	return why;
}

/* ---- Placing what is not the kernel ---- */

static bool plan_has(const struct plan *plan, uint64_t addr, uint64_t len)
{
	for (size_t i = 0; i < plan->count; i++)
		if (addr < plan->pieces[i].addr + plan->pieces[i].memsz && plan->pieces[i].addr < addr + len)
			return true;
	return false;
}

/* The next page-aligned place behind everything so far; 0 when the RAM below 4 GiB ends there. */
static uint64_t take(const struct guest_boot *boot, struct plan *plan, uint64_t len)
{
	uint64_t addr = align_up(plan->end, PAGE_SIZE);

	if (!range_fits(addr, len, MEMORY_4GIB) || !memory_map_is_usable(&boot->map, addr, len))
		return 0;
	plan->end = addr + len;
	return addr;
}

static const char *plan_rest(const struct guest_boot *boot, struct plan *plan)
{
	if (!plan_has(plan, plan->entry, 1))
		return "its entry point lies in none of its segments";
	for (size_t i = 0; i < boot->module_count; i++) {
		plan->places.module_addr[i] = take(boot, plan, boot->modules[i].length);
		if (!plan->places.module_addr[i])
			return "its modules do not fit into RAM: give the VM more memory";
	}
	plan->places.info_addr = INFO_LOW;
	if (plan_has(plan, INFO_LOW, MULTIBOOT_INFO_AREA))
		plan->places.info_addr = take(boot, plan, MULTIBOOT_INFO_AREA);
	return plan->places.info_addr ? NULL : "no RAM left for the Multiboot information";
}

static const char *make_plan(const struct guest_boot *boot, struct plan *plan)
{
	uint64_t header = find_header(&boot->kernel);
	const char *why;

	if (header == SEARCH_LIMIT)
		return "no Multiboot header (with a right checksum) in its first 8 KiB";
	why = check_flags(&boot->kernel, header);
	if (why)
		return why;
	plan->end = MEMORY_HIGH;
	if (image_u32(&boot->kernel, header + HDR_FLAGS) & FLAG_ADDRESSES)
		why = plan_addresses(boot, plan, header);
	else
		why = plan_elf(boot, plan);
	return why ? why : plan_rest(boot, plan);
}

static bool write_pieces(const struct guest_boot *boot, const struct plan *plan)
{
	bool done = true;

	for (size_t i = 0; i < plan->count && done; i++)
		done = guest_copies_add(boot->copies, plan->pieces[i].addr,
					boot->kernel.data + plan->pieces[i].offset, plan->pieces[i].filesz);
	for (size_t i = 0; i < boot->module_count && done; i++)
		done = guest_copies_add(boot->copies, plan->places.module_addr[i], boot->modules[i].data,
					boot->modules[i].length);
	return done;
}

const char *multiboot_load(const struct guest_boot *boot, struct reset_state *state)
{
	struct plan plan = { 0 };
	const char *why = make_plan(boot, &plan);

	if (why)
		return why;
	reset_protected_mode(state, (uint32_t)plan.entry, RESET_MULTIBOOT_CODE, RESET_MULTIBOOT_DATA);
	if (!write_pieces(boot, &plan) || !multiboot_info_write(boot, &plan.places, state))
		return "out of host memory while it was copied";
	return NULL;
}
