/* SPDX-License-Identifier: MIT */
/*
 * Low memory as firmware leaves it, see bios_data.h. There is no BIOS: each of the 256 real-mode vectors
 * leads to a stub of its own that writes its number and the caller's AX to the port of hv/dev/bios_trap.h,
 * which ends the VM and names the service or the exception. Without the stubs a real-mode program would run
 * through zeros from address 0 on.
 */
#include "arch/x86/guestboot/bios_data.h"

#include "hv/dev/bios_trap.h"
#include "hv/lib/pc.h"
#include "hv/lib/string.h"
#include "hv/memory_map.h"

#define VECTOR_SIZE		4U	/* offset, segment */
#define BIOS_STUB_SIZE		16U
#define STUB_VECTOR_AT		5U	/* the byte of a stub that is its vector */
#define STUB_BASE		0xf0000U	/* their segment is F000h */
#define RESET_VECTOR		0xffff0ULL	/* FFFF:0000, where real-mode programs jump to reboot */

/* Words of the BIOS data area; COM2 to COM4 stay 0, "not there". */
#define BDA_COM1_PORT		0x400U
#define BDA_EBDA_SEGMENT	0x40eU
#define BDA_EQUIPMENT		0x410U
#define BDA_MEMORY_KIB		0x413U
#define EQUIPMENT		0x0202U	/* one serial port, a math coprocessor */
#define EBDA_KIB		((MEMORY_VGA - MEMORY_EBDA) / KIB)	/* the EBDA begins with its size */

static const uint8_t stub[BIOS_STUB_SIZE] = {
	0x66, 0xc1, 0xe0, 16,		/* shl eax, 16 */
	0xb8, 0, 0,			/* mov ax, vector */
	0x66, 0xe7, BIOS_TRAP_PORT,	/* out port, eax */
	0xf4, 0xeb, 0xfd,		/* hlt, jmp to it */
};

static const uint8_t reboot[] = {
	0xb0, 0x06,			/* mov al, 6 */
	0xba, 0xf9, 0x0c,		/* mov dx, cf9h: the reset register */
	0xee,				/* out dx, al */
	0xf4, 0xeb, 0xfd,
};

_Static_assert(MEMORY_BIOS_STUBS + VECTORS * BIOS_STUB_SIZE <= RESET_VECTOR, "stubs and reset vector are apart");
_Static_assert(MEMORY_BIOS_STUBS >= STUB_BASE, "one segment reaches all stubs");

static bool put16(struct gpm *gpm, uint64_t addr, uint16_t val)
{
	return gpm_write(gpm, gpa(addr), &val, sizeof(val));
}

static bool write_vectors(struct gpm *gpm)
{
	bool done = gpm_write(gpm, gpa(RESET_VECTOR), reboot, sizeof(reboot));

	for (uint32_t i = 0; i < VECTORS && done; i++) {
		uint64_t addr = MEMORY_BIOS_STUBS + i * BIOS_STUB_SIZE;
		uint64_t vector = i * VECTOR_SIZE;
		uint8_t  code[BIOS_STUB_SIZE];

		memcpy(code, stub, BIOS_STUB_SIZE);
		code[STUB_VECTOR_AT] = (uint8_t)i;
		done = gpm_write(gpm, gpa(addr), code, BIOS_STUB_SIZE) &&
		       put16(gpm, vector, (uint16_t)(addr - STUB_BASE)) &&
		       put16(gpm, vector + sizeof(uint16_t), STUB_BASE >> REAL_MODE_SHIFT);
	}
	return done;
}

bool bios_data_write(struct gpm *gpm)
{
	return write_vectors(gpm) &&
	       put16(gpm, BDA_COM1_PORT, COM1_PORT) &&
	       put16(gpm, BDA_EBDA_SEGMENT, MEMORY_EBDA >> REAL_MODE_SHIFT) &&
	       put16(gpm, BDA_EQUIPMENT, EQUIPMENT) &&
	       put16(gpm, BDA_MEMORY_KIB, MEMORY_EBDA / KIB) &&
	       put16(gpm, MEMORY_EBDA, EBDA_KIB);
}
