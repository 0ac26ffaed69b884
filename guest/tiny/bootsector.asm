; SPDX-License-Identifier: MIT
; A boot sector: real mode, 16 bits, at 7c00. Reports like the others, with words of its own: 510 bytes are few.
bits 16
org 0x7c00

PORT_DEBUG	equ 0xe9
PORT_EXIT	equ 0xf4

; CHECK condition, "name"
%macro CHECK 2
	mov	si, %%name
	j%1	%%yes
	call	fail
	jmp	%%over
%%name:	db	%2, 10, 0
%%yes:	call	pass
%%over:
%endmacro

start:
	jmp	0:.here
.here:	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, 0x7c00
	smsw	ax
	test	al, 1
	CHECK	z, "sector.real-mode"
	cmp	word [0x7dfe], 0xaa55
	CHECK	e, "sector.whole"
	mov	dx, 0x3ff		; strings of ports, 16-bit addresses
	mov	al, 0x5a
	out	dx, al
	mov	di, 0x8000
	mov	cx, 3
	rep	insb
	cmp	di, 0x8003
	CHECK	e, "sector.insb"
	cmp	word [0x8001], 0x5a5a
	CHECK	e, "sector.insb-data"
	mov	eax, 0x40000000
	cpuid
	cmp	ebx, 'Trap'
	CHECK	e, "sector.cpuid"
	mov	ax, 0xffff		; the first 64 KiB less 16 bytes above 1 MiB: A20 is on
	mov	fs, ax
	mov	word [fs:0x10], 0x1234
	mov	word [0], 0x4321
	cmp	word [fs:0x10], 0x1234
	CHECK	e, "sector.a20"
	mov	ax, 0xb800		; the text screen that is none: plain memory
	mov	fs, ax
	mov	word [fs:0x20], 0x0741
	inc	word [fs:0x20]
	cmp	word [fs:0x20], 0x0742
	CHECK	e, "sector.screen"
	mov	word [0x80 * 4], handler
	mov	word [0x80 * 4 + 2], 0
	xor	bx, bx
	int	0x80
	cmp	bx, 7
	CHECK	e, "sector.int"
	mov	word [13 * 4], gp
	mov	word [13 * 4 + 2], 0
	mov	ecx, 0x1234
.refused: rdmsr				; #GP through the vector table
	cmp	bx, 8
	CHECK	e, "sector.gp"
	mov	si, end
	call	put
	xor	ax, ax
	mov	dx, PORT_EXIT
	out	dx, ax
	hlt

handler:
	mov	bx, 7
	iret

gp:	inc	bx
	add	sp, 2			; step over the RDMSR
	push	start.refused + 2
	iret

pass:	push	si
	mov	si, words
	jmp	both
fail:	push	si
	mov	si, words + 6
both:	call	put
	pop	si
put:	lodsb
	test	al, al
	jz	.end
	out	PORT_DEBUG, al
	jmp	put
.end:	ret

words:	db	"PASS ", 0, "FAIL ", 0
end:	db	"END 9", 10, 0
	times 510 - ($ - $$) db 0
	dw	0xaa55
