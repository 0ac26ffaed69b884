; SPDX-License-Identifier: MIT
; A second processor: INIT, SIPI, who it is, interrupts both ways, NMI out of HLT with interrupts off, INIT again, NMIs
; right behind the SIPI, KVM's calls (out of HLT, interrupts to a set).
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"

BOARD		equ 0x6000		; what the other processor writes, and the BSP's orders
BOOTS		equ BOARD
APIC_ID		equ BOARD + 4
BASE_MSR	equ BOARD + 8
IPIS		equ BOARD + 12
NMIS		equ BOARD + 16
AWAKE		equ BOARD + 20
TSC_LOW		equ BOARD + 24
TSC_HIGH	equ BOARD + 28
START_CS	equ BOARD + 32
WAKES		equ BOARD + 36		; from HLT with interrupts off
KVM_KICK_CPU	equ 5
KVM_SEND_IPI	equ 10
SIPI_NMIS	equ 20
IPI_VECTOR	equ 0x40
BACK_VECTOR	equ 0x45

main:
	mov	eax, 1
	cpuid
	bt	edx, 28
	CHECK_IF c, "smp.htt"
	shr	ebx, 16
	and	ebx, 0xff
	CHECK_EQ rbx, 2, "smp.logical-count"
	call	copy_trampoline
	mov	edi, BOARD
	mov	ecx, 16
	xor	eax, eax
	rep	stosd
	; real-mode vectors of the other processor
	mov	dword [2 * 4], TRAMPOLINE + ap_nmi - trampoline
	mov	dword [IPI_VECTOR * 4], TRAMPOLINE + ap_ipi - trampoline
	call	x2apic_on
	COUNT_X2APIC_GATE BACK_VECTOR

	mov	eax, 20			; parked until SIPI
	call	spin_ms
	mov	eax, [BOOTS]
	CHECK_EQ rax, 0, "smp.parked"
	mov	edx, 1
	mov	eax, ICR_INIT
	call	send
	call	now
	mov	r12, rax
	mov	eax, ICR_SIPI
	call	send
	WAIT_FOR BOOTS, 1, "smp.started"
	WAIT_FOR AWAKE, 1, "smp.ready"
	call	now
	mov	r13, rax
	mov	eax, ICR_SIPI		; running: ignored
	call	send
	mov	eax, [APIC_ID]
	CHECK_EQ rax, 1, "smp.apic-id"
	mov	eax, [BASE_MSR]
	and	eax, 0x100
	CHECK_EQ rax, 0, "smp.not-bsp"
	mov	eax, [START_CS]
	CHECK_EQ rax, 0x800, "smp.start-cs"
	mov	rax, [TSC_LOW]
	CHECK_RANGE rax, r12, r13, "smp.tsc"

	mov	eax, ICR_FIXED | IPI_VECTOR
	call	send
	WAIT_FOR IPIS, 1, "smp.ipi"
	mov	eax, ICR_OTHERS | ICR_FIXED | IPI_VECTOR
	call	send
	WAIT_FOR IPIS, 2, "smp.ipi-others"
	sti
	mov	eax, 10
	call	spin_ms
	cli
	mov	eax, [irq_counts + BACK_VECTOR * 4]
	CHECK_RANGE rax, 1, 2, "smp.ipi-back"	; sent twice, and two that wait are one
	mov	eax, ICR_NMI
	call	send
	WAIT_FOR NMIS, 1, "smp.nmi"
	WAIT_FOR WAKES, 1, "smp.nmi-wakes"
	mov	ecx, 1			; APIC ID: KVM's call, out of a HLT that no interrupt ends
	mov	eax, KVM_KICK_CPU
	call	hypercall
	CHECK_EQ rax, 0, "smp.kick-answer"
	WAIT_FOR WAKES, 2, "smp.kick-wakes"
	mov	eax, [BOOTS]
	CHECK_EQ rax, 1, "smp.second-sipi-ignored"

	mov	dword [AWAKE], 0
	mov	eax, ICR_INIT
	call	send
	mov	eax, 5
	call	spin_ms
	mov	eax, ICR_FIXED | IPI_VECTOR
	call	send
	mov	eax, 5
	call	spin_ms
	mov	eax, [IPIS]
	CHECK_EQ rax, 2, "smp.init-stops"
	mov	eax, ICR_SIPI
	call	send
	WAIT_FOR BOOTS, 2, "smp.started-again"
	WAIT_FOR AWAKE, 1, "smp.ready-again"
	mov	eax, ICR_FIXED | IPI_VECTOR
	call	send
	WAIT_FOR IPIS, 3, "smp.ipi-again"
	mov	ebx, 2			; APIC IDs 1...
	xor	ecx, ecx
	xor	edx, edx
	mov	esi, IPI_VECTOR
	mov	eax, KVM_SEND_IPI
	call	hypercall
	CHECK_EQ rax, 1, "smp.send-ipi-answer"
	WAIT_FOR IPIS, 4, "smp.send-ipi"
	mov	ebx, 3			; ...and 0, by an ICR that names its targets itself
	mov	esi, 0x840
	mov	eax, KVM_SEND_IPI
	call	hypercall
	CHECK_EQ rax, -22, "smp.send-ipi-refused"

	mov	dword [NMIS], 0
	xor	r14d, r14d
.round:	inc	r14d
	mov	edx, 1
	mov	eax, ICR_INIT
	call	send
	mov	eax, ICR_SIPI
	call	send
	mov	eax, ICR_NMI		; it waits for no SIPI now, so the NMI is not lost
	call	send
	mov	rbx, NMIS
	mov	ecx, r14d
	call	wait_for
	cmp	[NMIS], r14d
	jne	.lost
	cmp	r14d, SIPI_NMIS
	jb	.round
.lost:	mov	eax, [NMIS]
	CHECK_EQ rax, SIPI_NMIS, "smp.nmi-behind-sipi"
	DONE

TRAMPOLINE_BEGIN
	mov	sp, BOARD
	mov	word [START_CS], cs
	rdtsc
	mov	[TSC_LOW], eax
	mov	[TSC_HIGH], edx
	mov	eax, 1
	cpuid
	shr	ebx, 24
	mov	[APIC_ID], ebx
	mov	ecx, MSR_APIC_BASE
	rdmsr
	mov	[BASE_MSR], eax
	OTHER_X2APIC_ON
	lock inc dword [BOOTS]
	mov	dword [AWAKE], 1
	sti
.sleep:	hlt
	cmp	dword [IPIS], 2
	jne	.sleep
	cli				; from here on only an NMI wakes it
	hlt
	lock inc dword [WAKES]
	hlt				; and then a call
	lock inc dword [WAKES]
	sti
	jmp	.sleep

ap_ipi:
	push	eax
	push	ecx
	push	edx
	lock inc dword [IPIS]
	X2APIC_END
	mov	ecx, X2APIC_ICR
	mov	eax, ICR_FIXED | BACK_VECTOR	; and one back
	wrmsr
	pop	edx
	pop	ecx
	pop	eax
	iret

ap_nmi:
	lock inc dword [NMIS]
	iret
TRAMPOLINE_END
