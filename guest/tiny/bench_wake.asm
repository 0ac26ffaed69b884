; SPDX-License-Identifier: MIT
;
; From an event to the handler of a vCPU that sleeps, while others compute: scripts/bench runs it and reads its lines
; (bench.inc). The first letter of its command line says what a VM does:
;
;	compute		that, on all its vCPUs, for ever
;	timer		sleeps until the deadline of its own timer, again and again; its other vCPUs wait for a SIPI
;	sibling		the same, while its other vCPUs compute
;	ipi		sends an interrupt to its second vCPU, which sleeps, and computes until that was handled
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"
%include "bench.inc"
%include "bench_wake.inc"

BOARD		equ 0x6000		; between the first two vCPUs; the stack of the others is below
AWAKE		equ BOARD		; the second is there
SLEEPS		equ BOARD + 4		; the others sleep
HANDLED		equ BOARD + 8
HANDLED_AT	equ BOARD + 12		; lower half of the TSC
IPI_VECTOR	equ 0x40

OTHERS_MS	equ 500
; So rarely that whoever wakes uses less than its share: else it would have to wait for others.
AHEAD		equ 1000000
WAKE_ROUNDS	equ 16

main:
	call	choose_hypercall
	call	x2apic_on
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	mov	bl, [rdx]
	cmp	bl, 'i'
	sete	[SLEEPS]
	cmp	bl, 't'
	je	.start
	mov	dword [IPI_VECTOR * 4], TRAMPOLINE + take_ipi - trampoline
	call	run_trampoline
.start:	cmp	bl, 'c'
	je	compute
	mov	eax, OTHERS_MS
	call	spin_ms
	SAY	"MEASURES"		; who says later that it computes was not there
	cmp	bl, 'i'
	je	ipi
	call	deadline_on
	WAKE	"wake", WAKE_ROUNDS, AHEAD, wait_halted
	DONE

compute:
	SAY	"COMPUTES"
	sti
	jmp	$

; ---- From the ICR to the handler of the other vCPU ----

SENDING		equ 4			; RDTSC and three MOV before the WRMSR

ipi:
	pause
	cmp	dword [AWAKE], 0
	je	ipi
	sti
	call	counts_before
	mov	r15d, BATCHES
	mov	r14, -1
.batch:	mov	ebp, ROUNDS
	xor	r12d, r12d		; the sum of this batch
.round:	mov	dword [HANDLED], 0
	mov	ecx, X2APIC_ICR
	rdtsc
	mov	ebx, eax
	mov	eax, ICR_FIXED | IPI_VECTOR
	mov	edx, 1
	wrmsr
.wait:	cmp	dword [HANDLED], 0
	je	.wait
	mov	eax, [HANDLED_AT]
	sub	eax, ebx
	add	r12, rax
	dec	ebp
	jnz	.round
	cmp	r12, r14
	cmovb	r14, r12
	dec	r15d
	jnz	.batch
	call	counts_after
	mov	eax, SENDING
	REPORT	"ipi", ROUNDS, BATCHES, 1
	DONE

TRAMPOLINE_BEGIN
	mov	sp, BOARD
	OTHER_X2APIC_ON
	mov	dword [AWAKE], 1
	sti
	cmp	byte [SLEEPS], 0
	je	$
.sleep:	hlt
	jmp	.sleep

take_ipi:				; whoever sleeps keeps nothing in a register
	rdtsc
	mov	[HANDLED_AT], eax
	mov	dword [HANDLED], 1
	X2APIC_END
	iret
TRAMPOLINE_END
