; SPDX-License-Identifier: MIT
;
; What a VM that computes gets of a processor: scripts/bench runs several and reads their lines
;
;	BENCH had ticks of
;
; in hexadecimal: of so many ticks of its clock. It looks at the clock all the time; a gap was somebody else's time, or the
; VM's own sleep. By the first letter of its command line a VM also
;
;	halt		sleeps for a moment just before the end of each of its turns
;	yield		executes PAUSE instead, while its other vCPU does what it does
;	many		has its other vCPUs compute as well: what it says is of its first one
;	doze N		sleeps for a moment after every N microseconds of a turn
;	alternate	computes on its first and on its other vCPU by turns, which wake each other: it says what the first one had
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"
%include "bench.inc"
%include "bench_wake.inc"

TURN_US		equ 10000
GAP_US		equ 50
SLEEPS_FROM_US	equ TURN_US - 200	; of its turn
SLEEPS_FOR_US	equ 400
HANDS_FROM_US	equ TURN_US - 400
HAND_VECTOR	equ 0x41
BOARD		equ 0x6000		; the other vCPU's stack is below
WHOSE		equ BOARD		; who is to compute: both, or one of these
FIRST		equ 1
OTHER		equ 2
HANDS_FROM	equ BOARD + 4		; ticks
YIELDS_FROM_US	equ TURN_US - 2500	; the hypervisor wants to see many PAUSEs
SECONDS		equ 10
OTHERS_MS	equ 250			; those that started with it compute before it measures, and behind that

main:
	call	x2apic_on
	call	deadline_on
	call	tsc_khz
	mov	r12, rax
	mov	qword [acts_from], -1
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	mov	al, [rdx]
	cmp	al, 'm'
	je	.many
	cmp	al, 'h'
	je	.halt
	cmp	al, 'd'
	je	.doze
	cmp	al, 'a'
	je	.alternate
	cmp	al, 'y'
	jne	.work
	mov	eax, YIELDS_FROM_US
	mov	qword [act], yield
	call	run_trampoline
	jmp	.from
.many:	call	run_trampoline
	jmp	.work
.alternate:
	COUNT_X2APIC_GATE HAND_VECTOR
	mov	dword [HAND_VECTOR * 4], TRAMPOLINE + take - trampoline
	call	run_trampoline
	imul	r14, r12, OTHERS_MS	; both: each comes to a processor of its own
	call	work
	mov	eax, HANDS_FROM_US
	call	ticks_of_us
	mov	[HANDS_FROM], eax
	mov	eax, HANDS_FROM_US
	mov	qword [act], hand_over
	jmp	.from
.doze:	lea	esi, [rdx + 5]
	call	read_number
	mov	qword [act], halt
	jmp	.from
.halt:	mov	eax, SLEEPS_FROM_US
	mov	qword [act], halt
.from:	call	ticks_of_us
	mov	[acts_from], rax
.work:	mov	eax, SLEEPS_FOR_US
	call	ticks_of_us
	mov	[sleeps_for], rax
	mov	eax, GAP_US
	call	ticks_of_us
	mov	[gap], rax

	imul	r14, r12, OTHERS_MS
	call	work
	imul	r14, r12, SECONDS * 1000
	call	work
	push	r13
	push	r14
	imul	r14, r12, OTHERS_MS
	call	work
	mov	rsi, .had
	call	put_text
	pop	r14
	pop	rax
	call	put_number
	mov	rax, r14
	call	put_number
	mov	al, 10
	call	put_char
	DONE
.had:	db "BENCH had ", 0

ticks_of_us:				; eax: rax
	imul	rax, r12
	xor	edx, edx
	mov	ecx, 1000
	div	rcx
	ret

; For r14 ticks. Then r13 is what it had, of r14.
work:	sti
	xor	r13d, r13d
	call	now
	mov	rbp, rax		; the first look
	add	r14, rax		; the end
	mov	r15, rax		; the last look
	mov	r11, rax		; the begin of its turn
.look:	call	now
	mov	rcx, rax
	sub	rcx, r15
	mov	r15, rax
	cmp	rcx, [gap]
	cmova	r11, rax
	ja	.next
	add	r13, rcx
	sub	rax, r11
	cmp	rax, [acts_from]
	jb	.next
	call	[act]
.next:	cmp	r15, r14
	jb	.look
	mov	r14, r15
	sub	r14, rbp
	ret

halt:	cli
	push	r12
	mov	eax, [sleeps_for]
	call	arm
	call	wait_halted
	sti
	pop	r12
	ret

yield:	pause
	ret

hand_over:				; and sleep until it comes back
	mov	dword [WHOSE], OTHER
	mov	eax, ICR_FIXED | HAND_VECTOR
	mov	edx, 1
	call	send
.sleep:	cli
	cmp	dword [WHOSE], FIRST
	je	.mine
	sti
	hlt
	jmp	.sleep
.mine:	sti
	ret

TRAMPOLINE_BEGIN
	mov	sp, BOARD
	OTHER_X2APIC_ON
	sti
.both:	cmp	dword [WHOSE], 0
	je	.both
.sleep:	cli
	cmp	dword [WHOSE], OTHER
	je	.mine
	sti
	hlt
	jmp	.sleep
.mine:	sti
	rdtsc
	mov	ebx, eax
.look:	rdtsc
	sub	eax, ebx
	cmp	eax, [HANDS_FROM]
	jb	.look
	mov	dword [WHOSE], FIRST
	mov	eax, ICR_FIXED | HAND_VECTOR
	xor	edx, edx
	mov	ecx, X2APIC_ICR
	wrmsr
	jmp	.sleep

take:	pushad
	X2APIC_END
	popad
	iret
TRAMPOLINE_END

align 8
act:		dq 0
acts_from:	dq 0			; ticks of its turn
sleeps_for:	dq 0
gap:		dq 0
