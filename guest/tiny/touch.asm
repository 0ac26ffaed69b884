; SPDX-License-Identifier: MIT
; Touches its memory, 2 MiB at a time, to the number of MiB on its command line; with "late" before it, after some
; seconds, when a greedy neighbour has taken what it could get; with "hold" before it, it then lives on for longer than
; that, and keeps what it has.
%include "tiny.inc"
TINY_64
%include "check.inc"

LATE_SECONDS	equ 2			; less than attack_devices.asm waits before "many"
HOLD_SECONDS	equ 20
FIRST		equ 4			; MiB: behind our own code and tables

main:
	mov	ebx, [boot_info]
	mov	esi, [rbx + 16]		; command line
	mov	r12b, [rsi]
	cmp	r12b, 'a'
	jb	.number
	add	esi, 5			; the word and a blank
	cmp	r12b, 'l'
	jne	.number
	mov	eax, LATE_SECONDS
	call	wait_seconds
.number:
	call	read_number
	mov	rcx, rax
	shl	rcx, 20
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
	cmp	r12b, 'h'
	jne	.done
	mov	eax, HOLD_SECONDS
	call	wait_seconds
.done:	DONE

wait_seconds:				; eax: how many
	imul	r13, rax, 1000
	call	tsc_khz
	imul	r13, rax
	call	now
	add	r13, rax
.wait:	call	now
	cmp	rax, r13
	jb	.wait
	ret
