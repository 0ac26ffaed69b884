/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the boot protocols share: the files of a guest as bytes, and the machine they are put into. A
 * protocol's load function gets one struct guest_boot, writes RAM through gpm_* only, lists the files that are to
 * be copied there, fills in the boot processor's start state and returns NULL, or the reason why this image cannot
 * be started.
 *
 * The bytes come from a user and are hostile: every offset, size and address in them is an unsigned number
 * that is checked against the file or the memory map before it is used. RAM is all zeros when a load function is
 * called.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/guestboot/copies.h"
#include "boot/handoff.h"
#include "hv/addr.h"
#include "hv/gpm.h"
#include "hv/lib/string.h"
#include "hv/memory_map.h"

struct reset_state;

struct image {
	const uint8_t *data;
	uint64_t       length;
	const char    *name;
};

static inline bool image_has(const struct image *image, uint64_t offset, uint64_t len)
{
	return range_fits(offset, len, image->length);
}

/* Little-endian numbers at any offset; 0 beyond the end, so check image_has() where 0 would be believed. */
static inline uint64_t image_number(const struct image *image, uint64_t offset, size_t size)
{
	uint64_t val = 0;

	if (image_has(image, offset, size))
		memcpy(&val, image->data + offset, size);
	return val;
}

static inline uint8_t image_u8(const struct image *image, uint64_t offset)
{
	return (uint8_t)image_number(image, offset, sizeof(uint8_t));
}

static inline uint16_t image_u16(const struct image *image, uint64_t offset)
{
	return (uint16_t)image_number(image, offset, sizeof(uint16_t));
}

static inline uint32_t image_u32(const struct image *image, uint64_t offset)
{
	return (uint32_t)image_number(image, offset, sizeof(uint32_t));
}

/* For Multiboot, the initrd is the first module. */
#define GUEST_MODULES_MAX	(HANDOFF_MODULES_MAX + 1U)

struct guest_boot {
	struct gpm        *gpm;
	struct memory_map  map;			/* E820 */
	const char        *cmdline;		/* terminated */
	uint64_t           rsdp;		/* guest-physical */
	struct image       kernel;
	struct image       initrd;		/* data NULL: none */
	struct image       modules[GUEST_MODULES_MAX];
	size_t             module_count;
	struct guest_copies *copies;		/* where load lists the files that are to be copied */
};

/* Small stores for headers; the addresses are ours, so failure means too little RAM. */
__attribute__((warn_unused_result))
static inline bool guest_put32(const struct guest_boot *boot, uint64_t addr, uint32_t val)
{
	return gpm_write(boot->gpm, gpa(addr), &val, sizeof(val));
}

__attribute__((warn_unused_result))
static inline bool guest_put64(const struct guest_boot *boot, uint64_t addr, uint64_t val)
{
	return gpm_write(boot->gpm, gpa(addr), &val, sizeof(val));
}

/* Is it this kind of image? Looks only at magic numbers. */
bool linux_probe(const struct image *image);
bool multiboot_probe(const struct image *image);
bool bootsector_probe(const struct image *image);
/* What a file is that is none of them, to be put behind a refusal; "" when that is not known either. */
const char *image_hint(const struct image *image);

__attribute__((warn_unused_result))
const char *linux_load(const struct guest_boot *boot, struct reset_state *state);
__attribute__((warn_unused_result))
const char *multiboot_load(const struct guest_boot *boot, struct reset_state *state);
__attribute__((warn_unused_result))
const char *bootsector_load(const struct guest_boot *boot, struct reset_state *state);
