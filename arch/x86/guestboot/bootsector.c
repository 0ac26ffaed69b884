/* SPDX-License-Identifier: MIT */
/*
 * A flat real-mode image at 0000:7c00, as a PC's firmware would start a boot sector: DL = 80h, the rest of
 * the file behind its first sector. There is no BIOS behind it (bios_data.c says what a call of one does); an
 * image talks to devices by their ports.
 */
#include "arch/x86/guestboot/boot_image.h"

#include "arch/x86/virt/reset.h"
#include "hv/lib/pc.h"

#define SIGNATURE_OFFSET	510U
#define SIGNATURE		0xaa55U
#define LOAD_ADDR		0x7c00U
#define SIZE_MAX_BYTES		(480ULL << 10)
#define BOOT_DRIVE		0x80U

bool bootsector_probe(const struct image *image)
{
	return image->length && image->length % SECTOR_SIZE == 0 && image_u16(image, SIGNATURE_OFFSET) == SIGNATURE;
}

const char *bootsector_load(const struct guest_boot *boot, struct reset_state *state)
{
	if (image_u16(&boot->kernel, SIGNATURE_OFFSET) != SIGNATURE)
		return "not a boot sector: no 55h AAh at offset 510";
	if (boot->kernel.length > SIZE_MAX_BYTES)
		return "larger than the 480 KiB that fit between 0x7c00 and the EBDA";
	if (!memory_map_is_usable(&boot->map, LOAD_ADDR, boot->kernel.length))
		return "too little RAM: give the VM at least 1 MiB";
	if (!gpm_write(boot->gpm, gpa(LOAD_ADDR), boot->kernel.data, boot->kernel.length))
		return "out of host memory while it was copied";

	reset_real_mode(state, 0, LOAD_ADDR);
	state->rsp = LOAD_ADDR;
	state->gpr[GPR_RDX] = BOOT_DRIVE;
	return NULL;
}
