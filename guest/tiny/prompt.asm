; SPDX-License-Identifier: MIT
; Shows a prompt and waits at it: echoes what is typed at its serial port, and leaves at a q.
%include "tiny.inc"
TINY_64

COM1		equ 0x3f8
LSR		equ COM1 + 5

main:
	mov	rsi, prompt
	call	put_text
.next:	mov	dx, LSR
	in	al, dx
	test	al, 1
	jz	.next
	mov	dx, COM1
	in	al, dx
	call	put_char
	cmp	al, 'q'
	jne	.next
	mov	al, 10
	call	put_char
	DONE
prompt:	db	"prompt> ", 0
