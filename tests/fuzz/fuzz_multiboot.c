/* SPDX-License-Identifier: MIT */
/*
 * Multiboot headers: the first byte says how long the file is and which valid image (ELF32, ELF64, address
 * fields) the rest overwrites, as (offset, value) records of 6 bytes; the checksum is made right again, or
 * nothing would get past it. What is accepted must start in RAM, with its information block.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/virt/reset.h"
#include "guest_fake.h"

#define MEMORY		(8ULL << 20)
#define IMAGE_SIZE	0x400U
#define HEADER_AT	0x100U
#define RECORD		6U
#define KINDS		3U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *image, size_t at, uint64_t val, size_t size)
{
	memcpy(image + at, &val, size);
}

static void make_elf(uint8_t *image, bool is_64)
{
	const uint32_t segment[] = { 1, 0x200, 0x100000, 0x100000, 0x100, 0x200, 7, 0x1000 };
	const uint64_t segment64[] = { 0x700000001, 0x200, 0x100000, 0x100000, 0x100, 0x200, 0x1000 };

	memcpy(image, is_64 ? "\177ELF\2\1\1" : "\177ELF\1\1\1", 7);
	put(image, 16, 2, 2);
	put(image, 18, is_64 ? 62 : 3, 2);
	put(image, 24, 0x100000, is_64 ? 8 : 4);
	put(image, is_64 ? 32 : 28, 0x40, is_64 ? 8 : 4);
	put(image, is_64 ? 54 : 42, is_64 ? 56 : 32, 2);
	put(image, is_64 ? 56 : 44, 2, 2);
	if (is_64)
		memcpy(image + 0x40, segment64, sizeof(segment64));
	else
		memcpy(image + 0x40, segment, sizeof(segment));
}

static void make_image(uint8_t *image, unsigned kind)
{
	const uint32_t addresses[] = { 0x100000 + HEADER_AT, 0x100000, 0x100000 + IMAGE_SIZE, 0x102000, 0x100000 };

	memset(image, 0, IMAGE_SIZE);
	put(image, HEADER_AT, 0x1badb002, 4);
	put(image, HEADER_AT + 4, kind == 2 ? 0x10003 : 3, 4);
	if (kind == 2)
		memcpy(image + HEADER_AT + 12, addresses, sizeof(addresses));
	else
		make_elf(image, kind == 1);
}

static void fix_checksum(uint8_t *image)
{
	uint32_t words[2];

	memcpy(words, image + HEADER_AT, sizeof(words));
	put(image, HEADER_AT + 8, (uint32_t)-(words[0] + words[1]), 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_fake guest;		/* kept: filling its RAM anew would be most of the time */
	static const uint8_t module[100];
	uint8_t image[IMAGE_SIZE], *exact;
	struct reset_state state;
	size_t len;

	if (size < 1)
		return 0;
	if (!guest.boot.gpm)
		guest_fake_init(&guest, MEMORY);
	make_image(image, data[0] % KINDS);
	for (size_t at = 1; at + RECORD <= size; at += RECORD) {
		uint16_t offset;

		memcpy(&offset, data + at, sizeof(offset));
		memcpy(image + offset % (IMAGE_SIZE - RECORD), data + at + sizeof(offset), RECORD - sizeof(offset));
	}
	fix_checksum(image);
	len = data[0] >= UINT8_MAX / 2 ? IMAGE_SIZE : IMAGE_SIZE * 2U * data[0] / UINT8_MAX;
	exact = malloc(len + !len);
	memcpy(exact, image, len);
	guest.boot.kernel = (struct image){ exact, len, "kernel" };
	guest.boot.modules[0] = (struct image){ module, sizeof(module), "module" };
	guest.boot.module_count = 1;
	if (!multiboot_load(&guest.boot, &state) &&
	    (!guest_fake_copy(&guest) || !memory_map_is_usable(&guest.boot.map, state.rip, 1) ||
	     !memory_map_is_usable(&guest.boot.map, state.gpr[GPR_RBX], 64) ||
	     guest_number(&guest, state.gpr[GPR_RBX] + 20, 4) != 1))
		abort();
	free(exact);
	return 0;
}
