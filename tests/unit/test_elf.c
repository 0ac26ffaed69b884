/* SPDX-License-Identifier: MIT */
/* boot/elf.c: a good image lands where it was linked; each way to be bad is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <elf.h>

#include "boot/elf.h"
#include "hv/lib/util.h"

#define LINK	0xffffffff80000000ULL
#define CODE	0x1000U		/* offsets in the file */
#define DATA	0x2000U

struct image {
	Elf64_Ehdr header;
	Elf64_Phdr programs[3];
	uint8_t space[0x3000 - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
};

/* Two segments with a gap between them, zeroed data at the end, and a note that is not loaded. */
static struct image *good_image(void)
{
	static struct image image;

	memset(&image, 0, sizeof(image));
	memcpy(image.header.e_ident, "\177ELF\2\1\1", 7);
	image.header.e_type = ET_EXEC;
	image.header.e_machine = EM_X86_64;
	image.header.e_entry = LINK + 0x10;
	image.header.e_phoff = offsetof(struct image, programs);
	image.header.e_phentsize = sizeof(Elf64_Phdr);
	image.header.e_phnum = 3;
	image.programs[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
					  .p_flags = PF_R | PF_X,
					  .p_offset = CODE,
					  .p_vaddr = LINK,
					  .p_filesz = 0x20,
					  .p_memsz = 0x20 };
	image.programs[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = ~0ULL, .p_filesz = ~0ULL };
	image.programs[2] = (Elf64_Phdr){ .p_type = PT_LOAD,
					  .p_flags = PF_R | PF_W,
					  .p_offset = DATA,
					  .p_vaddr = LINK + 0x3000,
					  .p_filesz = 8,
					  .p_memsz = 0x1801 };
	memset((uint8_t *)&image + CODE, 0xcc, 0x20);
	memset((uint8_t *)&image + DATA, 0xdd, 8);
	return &image;
}

static void places_segments(void **state)
{
	const struct image *image = good_image();
	struct elf_plan plan;
	uint8_t *block;

	(void)state;
	assert_null(elf_plan(image, sizeof(*image), &plan));
	assert_int_equal(plan.link, LINK);
	assert_int_equal(plan.length, 0x5000);
	assert_int_equal(plan.entry, LINK + 0x10);
	block = malloc(plan.length);
	assert_non_null(block);
	memset(block, 0x55, plan.length);
	elf_place(image, &plan, block);
	assert_int_equal(block[0x1f], 0xcc);
	assert_int_equal(block[0x20], 0);
	assert_int_equal(block[0x2fff], 0);
	assert_int_equal(block[0x3007], 0xdd);
	assert_int_equal(block[0x3008], 0);
	assert_int_equal(block[0x4fff], 0);
	free(block);
}

struct fault {
	size_t offset, size;	/* the field that is changed */
	uint64_t value;
	const char *says;
};

#define HEADER(field)		offsetof(struct image, header.field), sizeof(((Elf64_Ehdr *)0)->field)
#define PROGRAM(n, field)	offsetof(struct image, programs[n].field), sizeof(((Elf64_Phdr *)0)->field)

static void refuses(void **state)
{
	static const struct fault rows[] = {
		{ HEADER(e_ident[0]),    0, "64-bit little-endian" },
		{ HEADER(e_ident[EI_CLASS]), ELFCLASS32, "64-bit" },
		{ HEADER(e_ident[EI_DATA]), ELFDATA2MSB, "64-bit" },
		{ HEADER(e_type),        ET_DYN, "not an executable for x86-64" },
		{ HEADER(e_machine),     EM_386, "not an executable for x86-64" },
		{ HEADER(e_phentsize),   32, "unknown size" },
		{ HEADER(e_phoff),       ~0ULL, "outside the file" },
		{ HEADER(e_phoff),       sizeof(struct image) - 8, "outside the file" },
		{ HEADER(e_phnum),       0xffff, "outside the file" },
		{ HEADER(e_phnum),       0, "entry point" },
		{ HEADER(e_entry),       LINK - 1, "entry point" },
		{ HEADER(e_entry),       LINK + 0x20, "entry point" },
		{ HEADER(e_entry),       LINK + 0x3000, "entry point" },
		{ PROGRAM(0, p_offset),  ~0ULL, "outside the file" },
		{ PROGRAM(0, p_offset),  sizeof(struct image) - 0x1f, "outside the file" },
		{ PROGRAM(0, p_filesz),  0x21, "larger in the file" },
		{ PROGRAM(2, p_memsz),   ~0ULL, "larger than 64 MiB" },
		{ PROGRAM(2, p_vaddr),   LINK + (64 << 20), "span more than 64 MiB" },
		{ PROGRAM(2, p_vaddr),   LINK, "overlap" },
		{ PROGRAM(2, p_vaddr),   LINK + 0x3001, "start on a page" },
		{ PROGRAM(2, p_vaddr),   0xfffffffffffff000ULL, "top 2 GiB" },
		{ PROGRAM(0, p_vaddr),   0x100000, "top 2 GiB" },
	};

	(void)state;
	for (size_t i = 0; i < countof(rows); i++) {
		struct image *image = good_image();
		struct elf_plan plan;
		const char *fault;

		memcpy((uint8_t *)image + rows[i].offset, &rows[i].value, rows[i].size);
		fault = elf_plan(image, sizeof(*image), &plan);
		if (!fault || !strstr(fault, rows[i].says))
			fail_msg("row %zu: \"%s\" instead of \"%s\"", i, fault ? fault : "accepted",
				 rows[i].says);
	}
}

static void refuses_short_and_crowded(void **state)
{
	struct elf_plan plan;
	Elf64_Phdr *program;
	struct image *image = good_image();

	(void)state;
	assert_non_null(elf_plan(image, sizeof(Elf64_Ehdr) - 1, &plan));
	assert_non_null(elf_plan(image, sizeof(Elf64_Ehdr), &plan));
	image->header.e_phnum = ELF_SEGMENTS_MAX + 1;
	program = image->programs;
	for (unsigned i = 0; i <= ELF_SEGMENTS_MAX; i++)
		memcpy((uint8_t *)program + i * sizeof(*program),
		       &(Elf64_Phdr){ .p_type = PT_LOAD,
				      .p_flags = PF_X,
				      .p_vaddr = LINK + i * 0x1000,
				      .p_memsz = 0x20 },
		       sizeof(*program));
	assert_string_equal(elf_plan(image, sizeof(*image), &plan), "it has more than 16 segments");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_segments), cmocka_unit_test(refuses),
		cmocka_unit_test(refuses_short_and_crowded),
	};

	return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
