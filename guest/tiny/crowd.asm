; SPDX-License-Identifier: MIT
; As many processors as a VM can have: one broadcast starts them all, each is who the tables say, and an NMI finds each.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"

CROWD		equ 64
STACKS		equ 0x6000		; below it: 32 bytes for each
STARTS		equ 0x6000		; a doubleword for each APIC ID: how often it started, ...
NMIS		equ STARTS + CROWD * 4	; ...and how many NMIs it took
STARTED		equ NMIS + CROWD * 4	; all of them together
TAKEN		equ STARTED + 4

; ALL_ARE table, number, name: of all but this processor
%macro ALL_ARE 3
	xor	eax, eax
	mov	ecx, CROWD - 1
%%look:	cmp	dword [%1 + rcx * 4], %2
	jne	%%next
	inc	eax
%%next:	loop	%%look
	CHECK_EQ rax, CROWD - 1, %3
%endmacro

main:
	mov	eax, 1
	cpuid
	shr	ebx, 16
	and	ebx, 0xff
	CHECK_EQ rbx, CROWD, "crowd.logical-count"
	mov	eax, 0xb
	mov	ecx, 1
	cpuid
	CHECK_EQ rbx, CROWD, "crowd.cores"
	mov	edi, STARTS
	mov	ecx, 2 * CROWD + 2
	xor	eax, eax
	rep	stosd
	mov	dword [2 * 4], TRAMPOLINE + take_nmi - trampoline	; the real-mode vector of the others
	call	x2apic_on

	call	run_trampoline
	WAIT_FOR STARTED, CROWD - 1, "crowd.started"
	ALL_ARE STARTS, 1, "crowd.each-started-once"

	mov	r12d, CROWD - 1
.each:	mov	edx, r12d
	mov	eax, ICR_NMI
	call	send
	dec	r12d
	jnz	.each
	WAIT_FOR TAKEN, CROWD - 1, "crowd.nmis"
	ALL_ARE NMIS, 1, "crowd.each-took-one"
	xor	edx, edx
	mov	eax, ICR_OTHERS | ICR_NMI
	call	send
	WAIT_FOR TAKEN, 2 * (CROWD - 1), "crowd.nmis-to-all"
	ALL_ARE NMIS, 2, "crowd.each-took-another"
	DONE

TRAMPOLINE_BEGIN
	mov	eax, 1
	cpuid
	shr	ebx, 24			; APIC ID
	mov	si, bx
	shl	si, 2
	shl	bx, 5
	mov	sp, STACKS
	sub	sp, bx
	lock inc dword [si + STARTS]
	lock inc dword [STARTED]
.sleep:	hlt
	jmp	.sleep

take_nmi:
	lock inc dword [si + NMIS]
	lock inc dword [TAKEN]
	iret
TRAMPOLINE_END
