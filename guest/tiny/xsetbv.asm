; SPDX-License-Identifier: MIT
; XCR0: what may be set; and extended state: clean at the start, kept over exits and while other VMs run.
; Two VMs of this guest run at once, each with a pattern of its own.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

AREA		equ 0x200000

%macro TRY 3				; low, high, name
	xor	ecx, ecx
	mov	eax, %1
	mov	edx, %2
	EXPECT_FAULT 13, %3, xsetbv
%endmacro

main:
	call	clean_start
	mov	eax, 1
	cpuid
	bt	ecx, 26
	jnc	.none
	xor	ecx, ecx
	xor	edx, edx
	mov	eax, 1
	EXPECT_FAULT 6, "xsetbv.without-osxsave", xsetbv
	mov	rax, cr4
	bts	rax, 18
	mov	cr4, rax
	xor	ecx, ecx
	xgetbv
	CHECK_EQ rax, 1, "xsetbv.reset-value"
	call	hidden_xsaves
	TRY	0, 0, "xsetbv.x87-off"
	TRY	2, 0, "xsetbv.sse-alone"
	TRY	5, 0, "xsetbv.avx-without-sse"
	TRY	1, 0x80000000, "xsetbv.bit-63"
	TRY	0x101, 0, "xsetbv.reserved"
	TRY	0x23, 0, "xsetbv.part-of-avx512"
	mov	ecx, 1
	mov	eax, 1
	xor	edx, edx
	EXPECT_FAULT 13, "xsetbv.xcr1", xsetbv
	xor	ecx, ecx
	xgetbv
	CHECK_EQ rax, 1, "xsetbv.kept"
	mov	eax, 3
	xor	edx, edx
	xsetbv
	xgetbv
	CHECK_EQ rax, 3, "xsetbv.sse"
	CHECK_EQ rdx, 0, "xsetbv.sse-high"
	call	avx
.none:	call	sse
	DONE

; XMM registers are zero after reset: no value of another guest or of the hypervisor may be in them.
clean_start:
	xor	ebx, ebx
%assign i 0
%rep 16
	movq	rax, xmm %+ i
	or	rbx, rax
	movhlps	xmm %+ i, xmm %+ i
	movq	rax, xmm %+ i
	or	rbx, rax
%assign i i + 1
%endrep
	CHECK_EQ rbx, 0, "xsetbv.clean-xmm"
	fnstcw	[AREA]
	movzx	eax, word [AREA]
	CHECK_EQ rax, 0x37f, "xsetbv.clean-fcw"
	stmxcsr	[AREA]
	mov	eax, [AREA]
	CHECK_EQ rax, 0x1f80, "xsetbv.clean-mxcsr"
	ret

avx:
	mov	eax, 1
	cpuid
	bt	ecx, 28
	jnc	.none
	xor	ecx, ecx
	xor	edx, edx
	mov	eax, 7
	xsetbv
	; upper halves are clean as well
	vextractf128 xmm1, ymm0, 1
	movq	rbx, xmm1
	CHECK_EQ rbx, 0, "xsetbv.clean-ymm"
	call	now
	mov	r12, rax		; the pattern
	movq	xmm0, r12
	vinsertf128 ymm0, ymm0, xmm0, 1
	vpermilpd ymm0, ymm0, 0
%assign i 1
%rep 15
	vmovapd	ymm %+ i, ymm0
%assign i i + 1
%endrep
	call	exits_and_others
	xor	r13d, r13d
%assign i 0
%rep 16
	vmovupd	[AREA], ymm %+ i
	call	compare
%assign i i + 1
%endrep
	CHECK_EQ r13, 0, "xsetbv.ymm-kept"
.none:	ret

compare:				; four words at AREA against r12
	mov	ecx, 4
.next:	mov	rax, [AREA + rcx * 8 - 8]
	xor	rax, r12
	or	r13, rax
	loop	.next
	ret

hidden_xsaves:				; what CPUID hides does not execute, on VT-x: AMD-V has no control for it
	xor	eax, eax
	cpuid
	cmp	ebx, "Genu"
	jne	.none
	mov	eax, 0xd
	mov	ecx, 1
	cpuid
	test	al, 8
	jnz	.none
	mov	edi, AREA
	xor	eax, eax
	xor	edx, edx
	EXPECT_FAULT 6, "xsetbv.hidden-xsaves", {db 0x0f, 0xc7, 0x2f}
.none:	ret

sse:
	call	now
	not	rax
	mov	r12, rax
	movq	xmm15, r12
	fldpi
	call	exits_and_others
	movq	rax, xmm15
	CHECK_EQ rax, r12, "xsetbv.xmm-kept"
	fldpi
	fcompp
	fnstsw	ax
	and	eax, 0x4500
	CHECK_EQ rax, 0x4000, "xsetbv.x87-kept"
	ret

exits_and_others:			; exits of several kinds, then time enough for other VMs
	xor	eax, eax
	cpuid
	in	al, 0x80
	mov	rbx, NOT_A_DEVICE
	mov	eax, [rbx]
	xor	eax, eax
	call	hypercall
	sti
	mov	eax, 40
	call	spin_ms
	cli
	ret
