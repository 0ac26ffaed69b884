; SPDX-License-Identifier: MIT
; The neighbour of misdeeds (tests/boot/test_matrix.py): does work with a known result for as many milliseconds as its command
; line says, and tells how much of it got done in which time:
;	did R T W	R rounds in T ticks, W of them with a wrong result (hexadecimal)
; A record begins and ends where a turn of this VM begins, so that it holds whole turns of all that share the processor;
; where nobody else takes turns it ends by itself. A record for which the console has no room goes on.
; Interrupts are on: Bochs' AMD processors keep the host's interrupts back while a guest has IF clear.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "tell.inc"

FIELD		equ 0x180000
FIELD_WORDS	equ 512
SEED		equ 0x5a5a1234a5a54321
MULTIPLIER	equ 6364136223846793005
RESULT		equ 0x9658bf38f0a38b26	; of each round
RECORD_MS	equ 40			; at least
ALONE_MS	equ 25			; more, if no turn begins: longer than that of another takes
AGAIN_MS	equ 5			; behind a try to tell, if the console had no room

; r8 rounds, r9 wrong ones, r10 begin of the record, r11 ticks in a millisecond, r12 the last look, r13 the end of all,
; r14 all wrong ones, r15 what the field is XORed with
main:
	mov	rdi, FIELD
	mov	ecx, FIELD_WORDS
	mov	rax, SEED
	movq	xmm7, rax
	mov	rdx, MULTIPLIER
.fill:	stosq
	imul	rax, rdx
	inc	rax
	loop	.fill
	xor	r14d, r14d
	xor	r15d, r15d
	call	tsc_khz
	mov	r11, rax
	mov	ebx, [boot_info]
	mov	esi, [rbx + 16]		; command line
	call	read_number
	imul	rax, r11
	mov	r13, rax
	call	now
	add	r13, rax
	mov	r12, rax
	sti
.record:
	mov	r10, r12
	xor	r8d, r8d
	xor	r9d, r9d
.round:	call	round
	inc	r8
	mov	rdx, RESULT
	cmp	rax, rdx
	je	.right
	inc	r9
	inc	r14
.right:	call	now
	mov	rdx, rax
	sub	rdx, r12		; since the last look
	mov	r12, rax
	cmp	rax, r13
	jae	.end
	sub	rax, r10
	imul	rcx, r11, RECORD_MS
	cmp	rax, rcx
	jb	.round
	cmp	rdx, r11		; who stood still for a millisecond begins a turn
	jae	.tell
	imul	rcx, r11, RECORD_MS + ALONE_MS
	cmp	rax, rcx
	jb	.round
.tell:	cmp	r12, [not_before]
	jb	.round
	call	tell
	jnc	.record
	imul	rax, r11, AGAIN_MS	; to try again all the time would be work that is not counted
	add	rax, r12
	mov	[not_before], rax
	jmp	.round
.end:	cli
	CHECK_EQ r14, 0, "neighbour.wrong-rounds"
	movq	rax, xmm7
	mov	rdx, SEED
	CHECK_EQ rax, rdx, "neighbour.xmm"
	DONE

not_before: dq 0

round:					; rax: what it came to
	mov	rdi, FIELD
	mov	ecx, FIELD_WORDS
	xor	eax, eax
.word:	mov	rdx, [rdi]
	xor	rdx, r15
	rol	rax, 5
	add	rax, rdx
	not	qword [rdi]
	add	rdi, 8
	dec	ecx
	jnz	.word
	not	r15
	ret

; The record's line, in one call. CF: the console has taken nothing of it.
tell:
	mov	rdi, LINE
	mov	dword [rdi], "did "
	add	rdi, 4
	mov	rax, r8
	call	put_number
	mov	rax, r12
	sub	rax, r10
	call	put_number
	mov	rax, r9
	call	put_number
	mov	byte [rdi - 1], 10
	jmp	print_line
