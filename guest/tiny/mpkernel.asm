; SPDX-License-Identifier: MIT
; A course kernel that knows no ACPI: BIOS data area, MP table, the second processor and the timer by what the table says.
%include "tiny.inc"
TINY_32

BDA_EBDA	equ 0x40e
BDA_MEMORY	equ 0x413
BIOS_AREA	equ 0xf0000
TRAMPOLINE	equ 0x8000		; start-up IPI vector 8
ALIVE		equ 0x6000		; the second processor's local APIC ID + 1
IDT		equ 0x7000
VECTOR		equ 0x40
LAPIC_EOI	equ 0xb0
LAPIC_SVR	equ 0xf0
LAPIC_ICR	equ 0x300
LAPIC_ICR_HIGH	equ 0x310
SPINS		equ 50000000		; how long to wait for what should come at once

main:
	movzx	eax, word [0x400]
	CHECK_EQ eax, 0x3f8, "mp.com1"
	movzx	eax, word [BDA_MEMORY]
	CHECK_EQ eax, 639, "mp.base-memory"
	movzx	ebx, word [BDA_EBDA]
	shl	ebx, 4
	movzx	eax, word [BDA_MEMORY]
	shl	eax, 10
	CHECK_EQ eax, ebx, "mp.ebda-is-behind"
	; the three places of the specification, in its order
	mov	ecx, 1024
	call	find
	jnc	.found
	movzx	ebx, word [BDA_MEMORY]
	shl	ebx, 10
	sub	ebx, 1024
	mov	ecx, 1024
	call	find
	jnc	.found
	mov	ebx, BIOS_AREA
	mov	ecx, 0x10000
	call	find
	jnc	.found
	xor	ebx, ebx
.found:	mov	eax, [ebx]
	CHECK_EQ eax, '_MP_', "mp.pointer"
	mov	ebx, [ebx + 4]
	mov	eax, [ebx]
	CHECK_EQ eax, 'PCMP', "mp.table"
	movzx	ecx, word [ebx + 4]
	call	sum
	movzx	eax, al
	CHECK_EQ eax, 0, "mp.checksum"
	mov	eax, [ebx + 36]
	mov	[lapic], eax
	call	walk
	mov	eax, [cpus]
	CHECK_EQ eax, 2, "mp.processors"
	mov	eax, [first_pin]
	CHECK_EQ eax, 2, "mp.timer-pin"
	call	start_second
	mov	eax, [ALIVE]
	dec	eax
	CHECK_EQ eax, [second], "mp.second-processor"
	call	timer
	mov	eax, [ticks]
	CHECK_EQ eax, 3, "mp.timer-ticks"
	DONE

; A floating pointer in ecx bytes at ebx? Its address in ebx and no carry.
find:
	cmp	dword [ebx], '_MP_'
	jne	.next
	push	ecx
	mov	ecx, 16
	call	sum
	pop	ecx
	test	al, al
	jz	.end			; no carry
.next:	add	ebx, 16
	sub	ecx, 16
	jnz	find
	stc
.end:	ret

sum:					; al: sum of ecx bytes at ebx
	push	ebx
	xor	eax, eax
.next:	add	al, [ebx]
	inc	ebx
	loop	.next
	pop	ebx
	ret

; Entries of 20 bytes for processors and 8 for the rest.
walk:
	movzx	ecx, word [ebx + 34]
	add	ebx, 44
.next:	movzx	eax, byte [ebx]
	test	eax, eax
	jz	.cpu
	cmp	eax, 2
	je	.ioapic
	cmp	eax, 3
	je	.wire
.step:	add	ebx, 8
.count:	loop	.next
	ret
.cpu:	inc	dword [cpus]
	test	byte [ebx + 3], 2	; not the one we run on
	jnz	.boot
	movzx	eax, byte [ebx + 1]
	mov	[second], eax
.boot:	add	ebx, 20
	jmp	.count
.ioapic:
	mov	eax, [ebx + 4]
	mov	[ioapic], eax
	jmp	.step
.wire:	cmp	byte [ebx + 5], 0	; ISA line 0
	jne	.step
	movzx	eax, byte [ebx + 7]
	mov	[first_pin], eax
	jmp	.step

start_second:
	mov	esi, trampoline
	mov	edi, TRAMPOLINE
	mov	ecx, trampoline_end - trampoline
	rep	movsb
	mov	eax, [lapic]
	mov	[TRAMPOLINE + trampoline.lapic - trampoline], eax
	mov	dword [ALIVE], 0
	mov	ebx, [lapic]
	mov	ecx, [second]
	shl	ecx, 24
	mov	[ebx + LAPIC_ICR_HIGH], ecx
	mov	dword [ebx + LAPIC_ICR], 0x4500
	mov	[ebx + LAPIC_ICR_HIGH], ecx
	mov	dword [ebx + LAPIC_ICR], 0x4600 + (TRAMPOLINE >> 12)
	mov	ecx, SPINS
.wait:	cmp	dword [ALIVE], 0
	jne	.end
	pause
	loop	.wait
.end:	ret

; Three ticks of the 8254 through the I/O APIC's input.
timer:
	mov	al, 0xff
	out	0x21, al
	out	0xa1, al
	mov	eax, on_tick
	mov	[IDT + VECTOR * 8], ax
	mov	word [IDT + VECTOR * 8 + 2], CODE32
	mov	word [IDT + VECTOR * 8 + 4], 0x8e00
	shr	eax, 16
	mov	[IDT + VECTOR * 8 + 6], ax
	lidt	[.idt]
	mov	ebx, [lapic]
	mov	dword [ebx + LAPIC_SVR], 0x1ff
	mov	ebx, [ioapic]
	mov	eax, [first_pin]
	lea	eax, [eax * 2 + 0x11]
	mov	[ebx], eax
	mov	dword [ebx + 16], 0	; to processor 0
	dec	eax
	mov	[ebx], eax
	mov	dword [ebx + 16], VECTOR
	mov	al, 0x34		; counter 0, rate generator, 1 ms
	out	0x43, al
	mov	al, 1193 & 255
	out	0x40, al
	mov	al, 1193 >> 8
	out	0x40, al
	mov	ecx, SPINS
	sti
.wait:	cmp	dword [ticks], 3
	jae	.end
	pause
	loop	.wait
.end:	cli
	ret
.idt:	dw	VECTOR * 8 + 7
	dd	IDT

on_tick:
	push	eax
	cmp	dword [ticks], 3
	adc	dword [ticks], 0	; counts to 3
	mov	eax, [lapic]
	mov	dword [eax + LAPIC_EOI], 0
	pop	eax
	iretd

align 4
cpus:		dd 0
second:		dd -1
first_pin:	dd -1
lapic:		dd 0
ioapic:		dd 0
ticks:		dd 0

; Reads its ID through the local APIC at the table's address: 4 GiB segments for real mode.
bits 16
trampoline:
	cli
	xor	ax, ax
	mov	ds, ax
	lgdt	[TRAMPOLINE + .gdt_ptr - trampoline]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	mov	bx, 8
	mov	ds, bx
	mov	ebx, [TRAMPOLINE + .lapic - trampoline]
	mov	eax, [ebx + 0x20]
	shr	eax, 24
	inc	eax
	mov	[ALIVE], eax
.halt:	hlt
	jmp	.halt
align 8
.gdt:	dq	0
	dq	0x00cf92000000ffff
.gdt_ptr: dw	15
	dd	TRAMPOLINE + .gdt - trampoline
.lapic:	dd	0
trampoline_end:
