/* SPDX-License-Identifier: MIT */
#pragma once
/* hv.elf: check it, say how much memory it wants, put its segments there. Pure: bytes in, bytes out. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX	16
#define ELF_LINK_LOWEST		0xffffffff80000000ULL	/* the top 2 GiB, as -mcmodel=kernel needs it */
#define ELF_LENGTH_MAX		(64ULL << 20)

struct elf_segment {
	uint64_t offset, file_size;	/* in the file */
	uint64_t start, memory_size;	/* in the block */
};

struct elf_plan {
	uint64_t link;			/* virtual address of the block's first byte, page-aligned */
	uint64_t length;		/* of the block, whole pages */
	uint64_t entry;			/* virtual */
	unsigned segment_count;
	struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/* NULL and a plan that elf_place can carry out without further checks, or the reason why not. */
const char *elf_plan(const void *image, size_t size, struct elf_plan *plan);
/* block: plan->length bytes; whatever no segment fills becomes zero. */
void elf_place(const void *image, const struct elf_plan *plan, void *block);
