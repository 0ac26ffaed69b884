/* SPDX-License-Identifier: MIT */
/*
 * Kinds of files that users have given for a kernel and that no boot protocol starts: how each begins, and
 * what to do instead. The text only follows a refusal, so a wrong guess does no harm.
 */
#include "arch/x86/guestboot/boot_image.h"

#include "hv/lib/util.h"

#define TEXT_LOOKED_AT	64U
#define TEXT_FIRST	0x20U
#define TEXT_END	0x7fU

static const struct foreign {
	uint16_t    offset;
	uint8_t     len;
	const char *magic, *hint;
} kinds[] = {
	{ 0, 2, "\x1f\x8b", "; it is compressed with gzip: a Multiboot kernel or a boot sector must be unpacked (gunzip)" },
	{ 0, 6, "\xfd" "7zXZ", "; it is compressed with xz: unpack it (unxz)" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "; it is compressed with zstd: unpack it (unzstd)" },
	{ 0, 3, "BZh", "; it is compressed with bzip2: unpack it (bunzip2)" },
	{ 0, 4, "\x7f" "ELF", "; it is an ELF file without a Multiboot header: of Linux, take bzImage instead of vmlinux" },
	{ 0, 4, "QFI\xfb", "; it is a disk image in the format qcow2" },
	{ 0x8001, 5, "CD001", "; it is the image of a CD: take the kernel out of it" },
	{ 0, 2, "MZ", "; it is an EFI or DOS program" },
	{ 0, 6, "070701", "; it is an initramfs (cpio)" },
};

static bool is_text(const struct image *image)
{
	uint64_t len = min_u64(image->length, TEXT_LOOKED_AT);

	for (uint64_t i = 0; i < len; i++) {
		uint8_t byte = image_u8(image, i);

		if ((byte < TEXT_FIRST || byte >= TEXT_END) && !(byte >= '\t' && byte <= '\r'))
			return false;
	}
	return len > 0;
}

const char *image_hint(const struct image *image)
{
	for (size_t i = 0; i < countof(kinds); i++)
		if (image_has(image, kinds[i].offset, kinds[i].len) &&
		    memcmp(image->data + kinds[i].offset, kinds[i].magic, kinds[i].len) == 0)
			return kinds[i].hint;
	return is_text(image) ? "; it is a text file" : "";
}
