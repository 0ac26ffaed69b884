/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as hv.elf: refused with a reason, or planned so that placing it stays inside the file and the block.
 * Each input is tried as it is, and as changes (exclusive or) to a good image, which gets behind the first checks.
 */
#include <assert.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "boot/elf.h"

#define BLOCK_MAX	(1ULL << 20)	/* larger blocks only cost time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image {
	Elf64_Ehdr header;
	Elf64_Phdr programs[2];
	uint8_t space[512];
};

static struct image good_image(void)
{
	struct image image = {
		.header = {
			.e_ident = "\177ELF\2\1\1", .e_type = ET_EXEC, .e_machine = EM_X86_64,
			.e_entry = ELF_LINK_LOWEST, .e_phoff = offsetof(struct image, programs),
			.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2,
		},
	};

	for (unsigned i = 0; i < 2; i++)
		image.programs[i] = (Elf64_Phdr){
			.p_type = PT_LOAD,
			.p_flags = PF_X,
			.p_offset = offsetof(struct image, space) + 256 * i,
			.p_vaddr = ELF_LINK_LOWEST + 4096 * i,
			.p_filesz = 256,
			.p_memsz = 3000,
		};
	return image;
}

static void try_image(const void *data, size_t size)
{
	struct elf_plan plan;

	if (elf_plan(data, size, &plan))
		return;
	assert(plan.link >= ELF_LINK_LOWEST && plan.link % 4096 == 0);
	assert(plan.length > 0 && plan.length <= ELF_LENGTH_MAX && plan.length % 4096 == 0);
	assert(plan.entry - plan.link < plan.length);
	for (unsigned i = 0; i < plan.segment_count; i++) {
		const struct elf_segment *segment = &plan.segments[i];

		assert(segment->start + segment->memory_size <= plan.length);
		assert(segment->offset + segment->file_size <= size);
	}
	if (plan.length <= BLOCK_MAX) {
		void *block = malloc(plan.length);

		if (block)
			elf_place(data, &plan, block);
		free(block);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image image = good_image();
	uint8_t *bytes = (uint8_t *)&image;

	try_image(data, size);
	for (size_t i = 0; i < size && i < sizeof(image); i++)
		bytes[i] ^= data[i];
	try_image(&image, sizeof(image));
	return 0;
}
