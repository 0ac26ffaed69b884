; SPDX-License-Identifier: MIT
; Two processors that wait for each other with PAUSE, and only one real one: whoever spins must give it away, long before
; its turn is over.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"

WHOSE		equ 0x6000		; 0: the first processor's move, 1: the second's
AWAKE		equ 0x6004
ROUNDS		equ 20
BURST		equ 8
WINDOWS		equ 4

main:
	mov	qword [WHOSE], 1	; and nobody is there yet who could move
	call	x2apic_on

	; r12: how often it looks in half a turn, 5 ms, at best; others may have run in some of the windows
	call	tsc_khz
	imul	r13, rax, 5
	xor	r12, r12
	mov	r15d, WINDOWS
.window:
	call	now
	mov	r14, rax
	xor	r9, r9
.burst:	mov	ecx, BURST
	call	spin_while_1
	call	now
	sub	rax, r14
	cmp	rax, r13
	jb	.burst
	cmp	r9, r12
	cmova	r12, r9
	dec	r15d
	jnz	.window

	call	run_trampoline
.start:	pause
	cmp	dword [AWAKE], 1
	jne	.start

	mov	r15d, ROUNDS
	xor	r9, r9
.round:	mov	dword [WHOSE], 1
.wait:	mov	ecx, BURST
	call	spin_while_1
	jecxz	.wait
	dec	r15d
	jnz	.round
	imul	r12, r12, ROUNDS
	CHECK_RANGE r9, ROUNDS, r12, "spin.looks"
	DONE

; r9 is raised by one for each look, ecx lowered; it ends when the first may move, or ecx is 0
spin_while_1:
	pause
	inc	r9
	cmp	dword [WHOSE], 1
	jne	.done
	dec	ecx
	jnz	spin_while_1
.done:	ret

TRAMPOLINE_BEGIN
	mov	dword [AWAKE], 1
.wait:	pause
	cmp	dword [WHOSE], 1
	jne	.wait
	mov	dword [WHOSE], 0
	jmp	.wait
TRAMPOLINE_END
