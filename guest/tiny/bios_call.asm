; SPDX-License-Identifier: MIT
; A boot sector that relies on a BIOS: it asks INT 13h to load its second sector, and there is no BIOS.
bits 16
org 0x7c00

	mov	ax, 0x0201
	int	0x13
	times 510 - ($ - $$) db 0
	dw	0xaa55
