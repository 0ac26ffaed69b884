/* SPDX-License-Identifier: MIT */
/*
 * Read hv.elf, an ELF64 executable for x86-64 linked into the top 2 GiB.
 *
 * elf_plan checks everything once, on copies of the headers, with unsigned arithmetic that cannot wrap; after it
 * said yes, elf_place is a loop of copies. System V ABI, "Object Files": ELF header, program header.
 */
#include "boot/elf.h"

#include "hv/lib/page_size.h"
#include "hv/lib/string.h"
#include "hv/lib/util.h"


struct elf_header {
	uint8_t  ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, program_offset, section_offset;
	uint32_t flags;
	uint16_t header_size, program_entry_size, program_count;
	uint16_t section_entry_size, section_count, section_names;
};

struct elf_program {
	uint32_t type, flags;
	uint64_t offset, virtual, physical, file_size, memory_size, align;
};

static const uint8_t elf_ident[] = {
	0x7f, 'E', 'L', 'F',
	2,	/* ELFCLASS64 */
	1,	/* ELFDATA2LSB */
	1,	/* EV_CURRENT */
};

#define ELF_EXECUTABLE	2	/* ET_EXEC */
#define ELF_X86_64	62	/* EM_X86_64 */
#define ELF_LOAD	1	/* PT_LOAD */
#define ELF_CODE	1U	/* PF_X */

static const char *check_header(const struct elf_header *header, size_t size)
{
	if (memcmp(header->ident, elf_ident, sizeof(elf_ident)) != 0)
		return "it is not a 64-bit little-endian ELF file";
	if (header->type != ELF_EXECUTABLE || header->machine != ELF_X86_64)
		return "it is not an executable for x86-64";
	if (header->program_entry_size != sizeof(struct elf_program))
		return "its program headers have an unknown size";
	if (header->program_offset > size ||
	    header->program_count > (size - header->program_offset) / sizeof(struct elf_program))
		return "its program headers lie outside the file";
	return NULL;
}

static const char *check_segment(const struct elf_program *program, size_t size)
{
	uint64_t end;

	if (program->offset > size || program->file_size > size - program->offset)
		return "a segment lies outside the file";
	if (program->file_size > program->memory_size)
		return "a segment is larger in the file than in memory";
	if (program->memory_size > ELF_LENGTH_MAX)
		return "a segment is larger than 64 MiB";
	if (program->virtual < ELF_LINK_LOWEST ||
	    __builtin_add_overflow(program->virtual, program->memory_size, &end))
		return "a segment is not linked into the top 2 GiB";
	if (program->virtual & PAGE_MASK)
		return "a segment does not start on a page";
	return NULL;
}

static struct elf_program program_at(const void *image, const struct elf_header *header,
				     unsigned index)
{
	struct elf_program program;

	memcpy(&program, (const char *)image + header->program_offset + index * sizeof(program),
	       sizeof(program));
	return program;
}

/* Segments come in ascending order (the ABI says so), which makes "no overlap" one comparison. */
static const char *add_segment(struct elf_plan *plan, const struct elf_program *program,
			       uint64_t *end)
{
	if (plan->segment_count == countof(plan->segments))
		return "it has more than 16 segments";
	if (plan->segment_count == 0)
		plan->link = program->virtual;
	else if (program->virtual < *end)
		return "its segments overlap or are not in ascending order";
	plan->segments[plan->segment_count++] = (struct elf_segment){
		.offset = program->offset, .file_size = program->file_size,
		.start = program->virtual - plan->link, .memory_size = program->memory_size,
	};
	*end = program->virtual + program->memory_size;
	return *end - plan->link > ELF_LENGTH_MAX ? "its segments span more than 64 MiB" : NULL;
}

const char *elf_plan(const void *image, size_t size, struct elf_plan *plan)
{
	struct elf_header header;
	bool entry_is_code = false;
	uint64_t end = 0;
	const char *fault;

	memset(plan, 0, sizeof(*plan));
	if (size < sizeof(header))
		return "it is shorter than an ELF header";
	memcpy(&header, image, sizeof(header));
	fault = check_header(&header, size);
	for (unsigned i = 0; !fault && i < header.program_count; i++) {
		const struct elf_program program = program_at(image, &header, i);

		if (program.type != ELF_LOAD || program.memory_size == 0)
			continue;
		fault = check_segment(&program, size);
		if (!fault)
			fault = add_segment(plan, &program, &end);
		if ((program.flags & ELF_CODE) &&
		    header.entry - program.virtual < program.memory_size)
			entry_is_code = true;
	}
	if (fault)
		return fault;
	if (!entry_is_code)
		return "its entry point is not in an executable segment";
	plan->entry = header.entry;
	plan->length = (end - plan->link + PAGE_MASK) & ~PAGE_MASK;
	return NULL;
}

void elf_place(const void *image, const struct elf_plan *plan, void *block)
{
	memset(block, 0, plan->length);
	for (unsigned i = 0; i < plan->segment_count; i++) {
		const struct elf_segment *segment = &plan->segments[i];

		memcpy((char *)block + segment->start, (const char *)image + segment->offset,
		       segment->file_size);
	}
}
