/* SPDX-License-Identifier: MIT */
/* The keyboard controller, as far as "a key was pressed" goes (IBM PS/2 Technical Reference, "Keyboard Controller"). */
#include "drivers/keyboard.h"

#include <stdint.h>

#include "arch/x86/hw/insn.h"
#include "hv/lib/bits.h"

#define KBC_DATA	0x60
#define KBC_STATUS	0x64
#define STATUS_FULL	BIT(0)	/* a byte waits */
#define STATUS_MOUSE	BIT(5)	/* and is the mouse's */
#define STATUS_ABSENT	0xffU	/* what an empty bus reads */
#define CODE_RELEASED	BIT(7)

bool keyboard_pressed(void)
{
	uint8_t status = inb(KBC_STATUS), code;

	if (status == STATUS_ABSENT || !(status & STATUS_FULL))
		return false;
	code = inb(KBC_DATA);
	return !(status & STATUS_MOUSE) && !(code & CODE_RELEASED);
}
