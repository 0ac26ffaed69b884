; SPDX-License-Identifier: MIT
;
; From the write of the ICR to the first instruction of the handler of another vCPU: scripts/bench runs it and reads its
; lines (bench.inc), one for each way in which the target waits. One operation is one such time, and what a line calls best
; is the median of all of them. The sender computes until the interrupt was handled. The first letter of the command line
; says where the two are:
;
;	one		on one processor: the target sleeps
;	two		on two: the target computes, without any exit of its own, and then sleeps. It is measured when the sender
;			has seen the target work, so quickly again and again that both must have run at once
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"
%include "bench.inc"

BOARD		equ 0x6000		; between the two; the target's stack is below
WORK		equ BOARD		; raised by the target while it computes
MAY_SLEEP	equ BOARD + 4		; the target computes until it may
HANDLED		equ BOARD + 8
HANDLED_AT	equ BOARD + 12		; lower half of the TSC
IPI_VECTOR	equ 0x40
SAMPLES		equ 1001
TICKS_MAX	equ 0xffff		; as much or more
HISTOGRAM	equ 0x200000		; how often each time was seen, a doubleword each
SENDING		equ 4			; RDTSC and three MOV before the WRMSR
BETWEEN		equ 20000		; iterations between two interrupts: the target sleeps again
SIGHTS		equ 10000		; of the other one at work, one right behind the other
SIGHT		equ 1000		; looks: sooner than a processor could change from one to the other and back
TRIES		equ 100000		; to begin with the sights again

main:
	call	choose_hypercall
	call	x2apic_on
	mov	dword [IPI_VECTOR * 4], TRAMPOLINE + take_ipi - trampoline
	call	run_trampoline
.start:	pause
	cmp	dword [WORK], 0
	je	.start
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	cmp	byte [rdx], 'o'
	je	.asleep
	call	wait_for_both
	jc	.alone
	call	measure
	mov	eax, SENDING
	REPORT	"ipi-computes", 1, SAMPLES, 1
.asleep:
	mov	dword [MAY_SLEEP], 1
	call	measure
	mov	eax, SENDING
	REPORT	"ipi-sleeps", 1, SAMPLES, 1
	DONE
.alone:	SAY	"FAIL the two never ran at once"
	DONE

wait_for_both:				; CF: in vain
	mov	r8d, TRIES
.try:	mov	ecx, SIGHTS
	mov	eax, [WORK]
.sight:	mov	edx, SIGHT
.look:	cmp	eax, [WORK]
	jne	.seen
	dec	edx
	jnz	.look
	dec	r8d
	jnz	.try
	stc
	ret
.seen:	mov	eax, [WORK]
	loop	.sight
	clc
	ret

measure:				; r14: the median of SAMPLES
	mov	edi, HISTOGRAM
	mov	ecx, TICKS_MAX + 1
	xor	eax, eax
	rep	stosd
	sti
	call	counts_before
	mov	ebp, SAMPLES
.next:	mov	ecx, BETWEEN
	loop	$
	mov	dword [HANDLED], 0
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
	mov	ecx, TICKS_MAX
	cmp	eax, ecx
	cmova	eax, ecx
	inc	dword [HISTOGRAM + rax * 4]
	dec	ebp
	jnz	.next
	call	counts_after
	cli
	mov	r14, -1
	mov	ecx, SAMPLES / 2 + 1
.median:
	inc	r14
	sub	ecx, [HISTOGRAM + r14 * 4]
	ja	.median
	ret

TRAMPOLINE_BEGIN
	mov	sp, BOARD
	OTHER_X2APIC_ON
	sti
.work:	inc	dword [WORK]
	cmp	dword [MAY_SLEEP], 0
	je	.work
.sleep:	hlt
	jmp	.sleep

take_ipi:				; whoever is interrupted keeps nothing in a register
	rdtsc
	mov	[HANDLED_AT], eax
	mov	dword [HANDLED], 1
	X2APIC_END
	iret
TRAMPOLINE_END
