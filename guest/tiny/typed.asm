; SPDX-License-Identifier: MIT
; Takes 35,000 bytes from its serial port, says how many came and what they add up to (each sum so far times 31, so
; that their order counts). It starts late, so that whoever types has to wait for it: what is lost on the way shows.
%include "tiny.inc"
TINY_64

COM1		equ 0x3f8
FCR		equ COM1 + 2
LSR		equ COM1 + 5
WANTED		equ 35000
LATE		equ 20000000		; turns of a loop without an exit: a good part of a second
A_WHILE		equ 2000		; between two looks: emulators are slow at exits

main:
	mov	dx, FCR
	mov	al, 1
	out	dx, al
	SAY	"type"
	mov	ecx, LATE
	loop	$
	xor	ebx, ebx
	xor	edi, edi
.next:	mov	dx, LSR
	in	al, dx
	test	al, 1
	jnz	.take
	mov	ecx, A_WHILE
	loop	$
	jmp	.next
.take:	mov	dx, COM1
	in	al, dx
	movzx	eax, al
	imul	rbx, rbx, 31
	add	rbx, rax
	inc	edi
	cmp	edi, WANTED
	jb	.next
	mov	rsi, said
	call	put_text
	mov	rax, rbx
	call	put_hex
	mov	al, 10
	call	put_char
	DONE
said:	db	"typed 35000 bytes, sum ", 0
