; SPDX-License-Identifier: MIT
;
; From an event to the handler of a vCPU that sleeps, while others compute: scripts/bench runs it and reads its lines
; (bench.inc). The first letter of its command line says what a VM does:
;
;	compute		that, on all its vCPUs, for ever
;	timer		sleeps until the deadline of its own timer, again and again; its other vCPUs wait for a SIPI
;	sibling		the same, while its other vCPUs compute
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"
%include "bench.inc"
%include "bench_wake.inc"

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
	cmp	bl, 't'
	je	.start
	call	run_trampoline
.start:	cmp	bl, 'c'
	je	compute
	mov	eax, OTHERS_MS
	call	spin_ms
	SAY	"MEASURES"		; who says later that it computes was not there
	call	deadline_on
	WAKE	"wake", WAKE_ROUNDS, AHEAD, wait_halted
	DONE

compute:
	SAY	"COMPUTES"
	sti
	jmp	$

TRAMPOLINE_BEGIN
	sti
	jmp	$
TRAMPOLINE_END
