; SPDX-License-Identifier: MIT
; The neighbour of hostile guests: works through their lives and after, and looks whether anything of its own
; changed: memory, registers, XMM, control registers, time. With "gap" on its command line it reads the clock all the
; time instead, and prints its share of the processor, how much the hypervisor says that others took (KVM's steal time), and
; the longest time for which it stood still.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

ROUNDS		equ 300			; of 1 ms each
FIELD_START	equ 0x400000
FIELD_WORDS	equ 0x100000 / 8

GAP_SECONDS	equ 3
OTHERS_MS	equ 250			; those that started with it compute before it measures, and behind that
STEAL		equ 0x300000		; struct kvm_steal_time
MSR_STEAL_TIME	equ 0x4b564d03
GAP_MAX_MS	equ 200			; four others have 10 ms each, and what one exit may take too long

main:
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	cmp	word [rdx], 'ga'
	je	gap
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

gap:
	call	tsc_khz
	mov	r12, rax
	imul	r13, rax, GAP_SECONDS * 1000
	xor	edx, edx
	mov	ecx, 10
	div	rcx
	mov	r11, rax		; a pause of more than 1/10 ms is somebody else's time
	mov	eax, OTHERS_MS
	call	spin_ms
	mov	rbx, STEAL | 1
	WRITE_MSR MSR_STEAL_TIME, rbx
	xor	r14d, r14d		; the longest
	xor	ebp, ebp		; the sum of them
	call	now
	mov	r15, rax		; the last look
	mov	r10, rax		; the first
	add	r13, rax		; the end
.look:	call	now
	mov	rdx, rax
	sub	rdx, r15
	mov	r15, rax
	cmp	rdx, r11
	jb	.mine
	add	rbp, rdx
	cmp	rdx, r14
	cmova	r14, rdx
.mine:	cmp	rax, r13
	jb	.look
	push	rax
	mov	rbx, [STEAL]
	mov	eax, OTHERS_MS
	call	spin_ms
	pop	rax

	sub	rax, r10		; all the time
	mov	rcx, rax
	sub	rax, rbp
	imul	rax, rax, 1000
	xor	edx, edx
	div	rcx
	mov	rsi, .share
	call	put_text
	call	put_hex
	mov	rax, rbx		; ns
	xor	edx, edx
	mov	ecx, GAP_SECONDS * 1000000
	div	rcx
	mov	rsi, .stolen
	call	put_text
	call	put_hex
	imul	rax, r14, 1000
	xor	edx, edx
	div	r12
	mov	rsi, .gap
	call	put_text
	call	put_hex
	mov	al, 10
	call	put_char
	xor	edx, edx
	mov	rax, r14
	div	r12
	CHECK_RANGE rax, 0, GAP_MAX_MS, "witness.longest-gap-in-ms"
	DONE
.share:	db "share in thousandths ", 0
.stolen: db ", stolen ", 0
.gap:	db ", longest gap in microseconds ", 0
