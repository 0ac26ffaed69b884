/* SPDX-License-Identifier: MIT */
/*
 * bzImage headers: the input overwrites a valid image, as (offset, value) records of 6 bytes behind two bytes
 * that say how long the file and the initrd are. What is accepted must start in RAM, with its zero page.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/virt/reset.h"
#include "guest_fake.h"

#define MEMORY		(24ULL << 20)
#define IMAGE_SIZE	0x1000U
#define INITRD_MAX	0x10000U
#define RECORD		6U
#define HEADER_MASK	0x3ffU	/* records hit the header, where the numbers are */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(uint8_t *image, size_t at, uint64_t val, size_t size)
{
	memcpy(image + at, &val, size);
}

static void make_image(uint8_t *image)
{
	memset(image, 0, IMAGE_SIZE);
	put(image, 0x1f1, 2, 1);
	put(image, 0x1fe, 0xaa55, 2);
	put(image, 0x201, 0x6a, 1);
	memcpy(image + 0x202, "HdrS", 4);
	put(image, 0x206, 0x20f, 2);
	put(image, 0x211, 1, 1);
	put(image, 0x22c, 0x7fffffff, 4);
	put(image, 0x230, 0x200000, 4);
	put(image, 0x234, 1, 1);
	put(image, 0x236, 3, 2);
	put(image, 0x238, 64, 4);
	put(image, 0x258, 0x200000, 8);
	put(image, 0x260, 0x100000, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_fake guest;		/* kept: filling its RAM anew would be most of the time */
	static uint8_t initrd[INITRD_MAX];
	uint8_t image[IMAGE_SIZE], *exact;
	struct reset_state state;
	size_t len;

	if (size < 2)
		return 0;
	if (!guest.boot.gpm)
		guest_fake_init(&guest, MEMORY);
	make_image(image);
	for (size_t at = 2; at + RECORD <= size; at += RECORD) {
		uint16_t offset;

		memcpy(&offset, data + at, sizeof(offset));
		memcpy(image + (offset & HEADER_MASK), data + at + sizeof(offset), RECORD - sizeof(offset));
	}
	len = data[0] ? IMAGE_SIZE * data[0] / UINT8_MAX : IMAGE_SIZE;
	exact = malloc(len + !len);
	memcpy(exact, image, len);
	guest.boot.kernel = (struct image){ exact, len, "kernel" };
	guest.boot.initrd = (struct image){ data[1] ? initrd : NULL, data[1] * 0x101U, "initrd" };
	guest.boot.cmdline = "quiet";
	if (!linux_load(&guest.boot, &state) &&
	    (!guest_fake_copy(&guest) || !memory_map_is_usable(&guest.boot.map, state.rip, 1) ||
	     guest_number(&guest, state.gpr[GPR_RSI] + 0x202, 4) != 0x53726448 ||
	     guest_number(&guest, state.gpr[GPR_RSI] + 0x1e8, 1) != guest.boot.map.count))
		abort();
	free(exact);
	return 0;
}
