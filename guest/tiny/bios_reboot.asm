; SPDX-License-Identifier: MIT
; A boot sector that reboots as real-mode programs do: by the reset vector.
bits 16
org 0x7c00

	jmp	0xffff:0
	times 510 - ($ - $$) db 0
	dw	0xaa55
