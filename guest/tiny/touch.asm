; SPDX-License-Identifier: MIT
; Touches its memory, 2 MiB at a time, to the number of MiB on its command line; with "late" before it, after ten
; seconds, when a greedy neighbour has taken what it could get.
%include "tiny.inc"
TINY_64
%include "check.inc"

WAIT_SECONDS	equ 10
FIRST		equ 4			; MiB: behind our own code and tables

main:
	mov	ebx, [boot_info]
	mov	esi, [rbx + 16]		; command line
	cmp	byte [rsi], 'l'
	jne	.number
	add	esi, 5			; "late "
	call	tsc_khz
	imul	r12, rax, WAIT_SECONDS * 1000
	call	now
	add	r12, rax
.wait:	call	now
	cmp	rax, r12
	jb	.wait
.number:
	xor	ecx, ecx
.digit:	movzx	eax, byte [rsi]
	sub	eax, '0'
	cmp	eax, 9
	ja	.touch
	imul	ecx, ecx, 10
	add	ecx, eax
	inc	esi
	jmp	.digit
.touch:	shl	rcx, 20
	mov	rdi, FIRST << 20
	xor	ebx, ebx
.next:	or	rbx, [rdi]		; comes zeroed, whoever had it before
	mov	[rdi], rdi
	add	rdi, 2 << 20
	cmp	rdi, rcx
	jb	.next
	CHECK_EQ rbx, 0, "touch.zeros"
	sub	rdi, 2 << 20
	mov	rax, [rdi]
	CHECK_EQ rax, rdi, "touch.kept"
	DONE
