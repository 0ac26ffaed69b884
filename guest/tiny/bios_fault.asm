; SPDX-License-Identifier: MIT
; A boot sector whose first instruction is none, without a handler for that.
bits 16
org 0x7c00

	ud2
	times 510 - ($ - $$) db 0
	dw	0xaa55
