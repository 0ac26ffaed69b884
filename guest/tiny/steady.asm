; SPDX-License-Identifier: MIT
; Work whose result does not depend on time: registers, x87, XMM, an interrupt, a fault, ports, NVRAM, MSRs and the
; local APIC take part in numbers that are scattered over a field of memory. At the end it prints one number for the
; field and for its own image: a VM that was saved, wiped and restored meanwhile must print the same as one that was not.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

ROUNDS		equ 16000		; 1,000 restores take about 30,000 exits (hv/restore_test.c)
FIELD_START	equ 0x400000
FIELD_WORDS	equ 0x100000 / 8
NVRAM_FREE	equ 0x50		; an NVRAM byte that means nothing to anybody
MSR_SYSENTER_CS	equ 0x174
MSR_KERNEL_GS	equ 0xc0000102
SEED		equ 0x9e3779b97f4a7c15
FNV_PRIME	equ 0x100000001b3
FNV_START	equ 0xcbf29ce484222325

main:
	call	lapic_on
	COUNT_GATE 0x41
	fninit
	fldz
	mov	rbp, SEED
	movq	xmm5, rbp
	xor	r12d, r12d		; the round
.round:	mov	eax, r12d
	and	eax, 7
	call	[.work + rax * 8]
	call	mix
	inc	r12d
	cmp	r12d, ROUNDS
	jb	.round
	CHECK_COUNT 0x41, ROUNDS / 8, "steady.interrupts"
	sub	rsp, 8
	fistp	qword [rsp]
	pop	rax
	CHECK_EQ rax, ROUNDS, "steady.x87"
	mov	rax, FNV_START
	mov	rsi, FIELD_START
	mov	ecx, FIELD_WORDS
	call	sum
	mov	rsi, LOAD
	mov	ecx, (image_end - header) / 8
	call	sum
	mov	rsi, .memory
	call	put_text
	call	put_hex
	mov	al, 10
	call	put_char
	DONE
align 8
.work:	dq	leaf, scratch, nvram, msrs, string, interrupt, paging, fault_ud
.memory: db	"memory ", 0

; The round's result, rax: into the state of GPRs, XMM and x87, and at a place that the state names.
mix:
	movq	xmm0, rax
	paddq	xmm5, xmm0
	movq	rax, xmm5
	xor	rbp, rax
	mov	rax, rbp
	shl	rax, 13
	xor	rbp, rax
	mov	rax, rbp
	shr	rax, 7
	xor	rbp, rax
	mov	rax, rbp
	shl	rax, 17
	xor	rbp, rax
	fld1
	faddp
	mov	eax, ebp
	and	eax, FIELD_WORDS - 1
	add	[FIELD_START + rax * 8], rbp
	ret

leaf:
	xor	eax, eax
	cpuid
	mov	eax, ecx
	ret

scratch:
	mov	dx, UART_SCRATCH
	mov	eax, ebp
	out	dx, al
	xor	eax, eax
	in	al, dx
	ret

nvram:
	mov	al, NVRAM_FREE
	out	0x70, al
	in	al, 0x71		; what the round before left there
	movzx	r8d, al
	mov	eax, ebp
	out	0x71, al
	mov	eax, r8d
	ret

msrs:
	movzx	r8d, bp
	WRITE_MSR MSR_SYSENTER_CS, r8
	mov	r8, rbp
	shr	r8, 20
	WRITE_MSR MSR_KERNEL_GS, r8
	READ_MSR MSR_SYSENTER_CS
	mov	r8, rax
	READ_MSR MSR_KERNEL_GS
	add	rax, r8
	ret

string:					; 16 bytes from a port to the field, one restart after another
	mov	dx, UART_SCRATCH
	mov	edi, ebp
	and	edi, (FIELD_WORDS - 4) * 8
	add	edi, FIELD_START
	mov	ecx, 16
	rep	insb
	lea	rax, [rdi + rcx]
	ret

interrupt:				; an IPI to itself, and a priority that the local APIC keeps
	mov	ebx, LAPIC
	mov	eax, ebp
	and	eax, 0x30
	mov	[rbx + LAPIC_TPR], eax
	mov	dword [rbx + LAPIC_ICR], 0x40041
	sti
	nop
	cli
	mov	eax, [rbx + LAPIC_TPR]
	add	eax, [irq_counts + 0x41 * 4]
	ret

paging:
	mov	rax, cr4
	xor	eax, 4			; TSD
	mov	cr4, rax
	mov	r8, cr3
	mov	cr3, r8
	mov	r8, cr0
	xor	r8, 0x20		; NE
	mov	cr0, r8
	mov	rax, cr4
	mov	r8, cr0
	shl	r8, 32
	or	rax, r8
	ret

fault_ud:
	mov	qword [expected_vector], 6
	mov	qword [expected_rip], .insn
	mov	qword [resume_rip], .after
.insn:	ud2
.after:	mov	qword [expected_vector], -1
	mov	eax, NOT_A_DEVICE
	mov	rax, [rax]
	add	rax, [fault_count]
	ret

sum:					; rsi, ecx words: into rax
	mov	r8, FNV_PRIME
.next:	xor	rax, [rsi]
	imul	rax, r8
	add	rsi, 8
	loop	.next
	ret

align 8
image_end:
