; SPDX-License-Identifier: MIT
; Two processors, each of which is to have one of the host's: the first computes and takes interrupts of the 8254, the second
; arms that for each of them and waits until it has come.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"

TICKS		equ 0x6000		; interrupts of the 8254
IS_DONE		equ 0x6004
ROUNDS		equ 400
PERIOD		equ 2386		; of 1.19 MHz: 2 ms
ONE_SHOT	equ 0x30
PIT_INPUT	equ 2			; of the I/O APIC
PIT_VECTOR	equ 0x42

main:
	call	copy_trampoline
	mov	qword [TICKS], 0
	call	lapic_on
	SET_GATE PIT_VECTOR, tick
	mov	al, ONE_SHOT		; it ticks since the start of the VM, and ceases to
	out	0x43, al
	mov	eax, PIT_INPUT
	mov	edx, PIT_VECTOR
	call	ioapic_set
	sti
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_ICR_HIGH], 1 << 24
	mov	dword [rax + LAPIC_ICR], 0x4500		; INIT
	mov	dword [rax + LAPIC_ICR], 0x4608		; SIPI
	WAIT_FOR IS_DONE, 1, "apart.done"
	mov	eax, [TICKS]
	CHECK_EQ rax, ROUNDS, "apart.ticks"
	DONE

tick:
	push	rax
	inc	dword [TICKS]
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_EOI], 0
	pop	rax
	iretq

TRAMPOLINE_BEGIN
	sti				; nothing comes, but Bochs' AMD processors keep the host's interrupts back else
	mov	cx, ROUNDS
.round:	mov	ebx, [TICKS]
	mov	al, ONE_SHOT
	out	0x43, al
	mov	al, PERIOD & 0xff
	out	0x40, al
	mov	al, PERIOD >> 8
	out	0x40, al
.wait:	cmp	[TICKS], ebx
	je	.wait
	loop	.round
	mov	dword [IS_DONE], 1
.sleep:	hlt
	jmp	.sleep
TRAMPOLINE_END
