; SPDX-License-Identifier: MIT
; A boot sector that trusts a BIOS: it loads its second sector, and there is nobody to do it.
bits 16
org 0x7c00

	mov	ax, 0x0201
	int	0x13
	times 510 - ($ - $$) db 0
	dw	0xaa55
