; SPDX-License-Identifier: MIT
; The neighbour of hostile guests: works through their lives and after, and looks whether anything of its own
; changed: memory, registers, XMM, control registers, time.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

ROUNDS		equ 300			; of 1 ms each
FIELD_START	equ 0x400000
FIELD_WORDS	equ 0x100000 / 8

main:
	call	lapic_on
	COUNT_GATE 0x41
	mov	rdi, FIELD_START
	mov	ecx, FIELD_WORDS
	mov	rax, 0x5a5a1234a5a54321
	mov	r12, rax
	rep	stosq
	movq	xmm7, r12
	mov	rax, cr4
	mov	r15, rax
	mov	rbx, LAPIC
	mov	r14d, ROUNDS
.round:	mov	dword [rbx + LAPIC_TIMER], 0x41
	mov	dword [rbx + LAPIC_COUNT], 10000
	sti
	hlt
	cli
	dec	r14d
	jnz	.round
	mov	rdi, FIELD_START
	mov	ecx, FIELD_WORDS
	mov	rax, r12
	repe	scasq
	CHECK_IF e, "witness.memory"
	movq	rax, xmm7
	CHECK_EQ rax, r12, "witness.xmm"
	mov	rax, cr4
	CHECK_EQ rax, r15, "witness.cr4"
	mov	eax, [irq_counts + 0x41 * 4]
	CHECK_EQ rax, ROUNDS, "witness.interrupts"
	DONE
