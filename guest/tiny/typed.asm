; SPDX-License-Identifier: MIT
; Takes as many bytes from its serial port as its command line says, and tells what they add up to (each sum so far times
; 31, so that their order counts). It starts late, so that whoever types has to wait for it: what is lost on the way shows.
%include "tiny.inc"
TINY_64

COM1		equ 0x3f8
FCR		equ COM1 + 2
LSR		equ COM1 + 5
LATE		equ 20000000		; turns of a loop without an exit: a good part of a second
A_WHILE		equ 2000		; between two looks: emulators are slow at exits

main:
	mov	ebx, [boot_info]
	mov	esi, [rbx + 16]		; command line
	xor	r12d, r12d
.digit:	movzx	eax, byte [rsi]
	sub	eax, '0'
	cmp	eax, 9
	ja	.begin
	imul	r12d, r12d, 10
	add	r12d, eax
	inc	esi
	jmp	.digit
.begin:	mov	dx, FCR
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
	cmp	edi, r12d
	jb	.next
	mov	rsi, said
	call	put_text
	mov	rax, rbx
	call	put_hex
	mov	al, 10
	call	put_char
	DONE
said:	db	"typed all, sum ", 0
