/* SPDX-License-Identifier: MIT */
/*
 * A flat real-mode image at 0000:7c00, as a PC's firmware would start a boot sector: DL = 80h, the rest of
 * the file behind its first sector. There is no BIOS behind it: the interrupt vectors lead to stubs that
 * return, INT 10h-1Fh (the BIOS services) with carry set and AH = 86h, "function not supported". The BIOS
 * data area tells the memory size, the EBDA and COM1; an image talks to devices by their ports.
 */
#include "arch/x86/guestboot/boot_image.h"

#include "arch/x86/virt/reset.h"
#include "hv/lib/util.h"

#define SECTOR			512U
#define SIGNATURE_OFFSET	510U
#define SIGNATURE		0xaa55U
#define LOAD_ADDR		0x7c00U
#define SIZE_MAX_BYTES		(480ULL << 10)
#define BOOT_DRIVE		0x80U

#define IVT_ENTRY_SIZE		4U
#define IVT_ENTRIES		256U
#define SERVICE_FIRST		0x10U
#define SERVICE_LAST		0x1fU
#define STUB_SEGMENT		0xf000U
#define STUB_RETURN		0xfe00U		/* IRET */
#define STUB_REFUSE		0xfe10U
#define REAL_MODE_SHIFT		4

/* Words of the BIOS data area. */
#define BDA_COM1_PORT		0x400U
#define BDA_EBDA_SEGMENT	0x40eU
#define BDA_MEMORY_KIB		0x413U
#define COM1_PORT		0x3f8U
#define KIB			1024U

static const uint8_t stub_return[] = { 0xcf };			/* iret */
static const uint8_t stub_refuse[] = {
	0xb4, 0x86,			/* mov ah, 86h */
	0x55,				/* push bp */
	0x89, 0xe5,			/* mov bp, sp */
	0x80, 0x4e, 0x06, 0x01,		/* or byte [bp+6], 1: carry in the flags IRET takes */
	0x5d,				/* pop bp */
	0xcf,				/* iret */
};

bool bootsector_probe(const struct image *image)
{
	return image->length && image->length % SECTOR == 0 && image_u16(image, SIGNATURE_OFFSET) == SIGNATURE;
}

static bool put16(const struct guest_boot *boot, uint64_t addr, uint16_t val)
{
	return gpm_write(boot->gpm, gpa(addr), &val, sizeof(val));
}

static bool write_vectors(const struct guest_boot *boot)
{
	const uint64_t stubs = (uint64_t)STUB_SEGMENT << REAL_MODE_SHIFT;
	bool done = gpm_write(boot->gpm, gpa(stubs + STUB_RETURN), stub_return, sizeof(stub_return)) &&
		    gpm_write(boot->gpm, gpa(stubs + STUB_REFUSE), stub_refuse, sizeof(stub_refuse));

	for (uint32_t i = 0; i < IVT_ENTRIES && done; i++) {
		bool is_service = i >= SERVICE_FIRST && i <= SERVICE_LAST;

		done = put16(boot, i * IVT_ENTRY_SIZE, is_service ? STUB_REFUSE : STUB_RETURN) &&
		       put16(boot, i * IVT_ENTRY_SIZE + sizeof(uint16_t), STUB_SEGMENT);
	}
	return done;
}

static bool write_bios_data(const struct guest_boot *boot)
{
	return put16(boot, BDA_COM1_PORT, COM1_PORT) &&
	       put16(boot, BDA_EBDA_SEGMENT, MEMORY_EBDA >> REAL_MODE_SHIFT) &&
	       put16(boot, BDA_MEMORY_KIB, MEMORY_EBDA / KIB);
}

const char *bootsector_load(const struct guest_boot *boot, struct reset_state *state)
{
	if (image_u16(&boot->kernel, SIGNATURE_OFFSET) != SIGNATURE)
		return "not a boot sector: no 55h AAh at offset 510";
	if (boot->kernel.length > SIZE_MAX_BYTES)
		return "larger than the 480 KiB that fit between 0x7c00 and the EBDA";
	if (!memory_map_is_usable(&boot->map, LOAD_ADDR, boot->kernel.length))
		return "too little RAM: give the VM at least 1 MiB";
	if (!write_vectors(boot) || !write_bios_data(boot) ||
	    !gpm_write(boot->gpm, gpa(LOAD_ADDR), boot->kernel.data, boot->kernel.length))
		return "out of host memory while it was copied";

	reset_real_mode(state, 0, LOAD_ADDR);
	state->rsp = LOAD_ADDR;
	state->gpr[GPR_RDX] = BOOT_DRIVE;
	return NULL;
}
