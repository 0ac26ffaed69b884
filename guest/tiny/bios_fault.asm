; SPDX-License-Identifier: MIT
; A boot sector that begins with bytes which are no instruction, and has no handler for #UD.
bits 16
org 0x7c00

	ud2
	times 510 - ($ - $$) db 0
	dw	0xaa55
