; SPDX-License-Identifier: MIT
; What is special on AMD: the vendor's name and MSRs; SVM is hidden; CR0 reads as the guest set it although the
; processor runs with another value; single steps over exits; NMIs that wait for IRET.
%include "tiny.inc"

CR0_CD_BIT	equ 1 << 30
EFER		equ 0xc0000080
VM_CR		equ 0xc0010114
HWCR		equ 0xc0010015
NB_CFG		equ 0xc001001f
DR6_BS		equ 1 << 14
RFLAGS_TF	equ 1 << 8
X2APIC_ICR	equ 0x830
STEPS		equ 7
ICR_NMI_TO_0	equ 0x400		; delivery mode NMI, to APIC 0, which is this one

TINY_64

main:
	call	vendor
	call	svm_is_hidden
	call	amd_msrs
	call	control_registers
	call	single_step
	call	nmis
	DONE

vendor:
	xor	eax, eax
	cpuid
	mov	eax, ebx
	CHECK_EQ rax, 0x68747541, "amd.vendor.Auth"
	mov	eax, 0x80000000
	cpuid
	mov	eax, ebx
	CHECK_EQ rax, 0x68747541, "amd.vendor.extended"
	mov	eax, 0x15
	xor	ecx, ecx
	cpuid
	or	eax, ebx
	CHECK_EQ rax, 0, "amd.no-leaf-15"
	mov	eax, 0x40000010		; ours: the TSC's rate in kHz
	cpuid
	test	eax, eax
	setnz	al
	movzx	eax, al
	CHECK_EQ rax, 1, "amd.tsc-khz-leaf"
	ret

svm_is_hidden:
	mov	eax, 0x80000001
	cpuid
	mov	eax, ecx
	and	eax, 4
	CHECK_EQ rax, 0, "amd.cpuid-svm"
	mov	eax, 0x8000000a
	cpuid
	or	eax, edx
	CHECK_EQ rax, 0, "amd.leaf-8000000a"
	mov	ecx, VM_CR
	rdmsr
	CHECK_EQ rax, 0x18, "amd.vm-cr"		; SVMDIS, LOCK
	mov	ecx, EFER
	rdmsr
	and	eax, 0x1000
	CHECK_EQ rax, 0, "amd.efer-svme-clear"
	rdmsr
	or	eax, 0x1000
	EXPECT_FAULT 13, "amd.efer-svme-refused", wrmsr
	xor	eax, eax
	EXPECT_FAULT 6, "amd.vmrun", db 0x0f, 0x01, 0xd8
	EXPECT_FAULT 6, "amd.vmload", db 0x0f, 0x01, 0xda
	EXPECT_FAULT 6, "amd.vmsave", db 0x0f, 0x01, 0xdb
	EXPECT_FAULT 6, "amd.stgi", db 0x0f, 0x01, 0xdc
	EXPECT_FAULT 6, "amd.clgi", db 0x0f, 0x01, 0xdd
	EXPECT_FAULT 6, "amd.invlpga", db 0x0f, 0x01, 0xdf
	ret

amd_msrs:
	mov	ecx, HWCR
	rdmsr
	CHECK_EQ rax, 0x1000000, "amd.hwcr-tscfreqsel"
	mov	ecx, NB_CFG
	rdmsr
	CHECK_EQ rax, 0, "amd.nb-cfg"
	wrmsr
	mov	ecx, 0xc0010117		; VM_HSAVE_PA: the host's
	EXPECT_FAULT 13, "amd.hsave-pa", rdmsr
	ret

control_registers:
	mov	rbx, cr0
	mov	rax, rbx
	or	rax, CR0_CD_BIT
	mov	cr0, rax		; changes more than TS and MP: exits
	mov	rax, cr0
	and	rax, CR0_CD_BIT
	CHECK_EQ rax, CR0_CD_BIT, "amd.cr0-cd-shown"
	smsw	eax
	and	eax, 0xffff
	movzx	edx, bx
	CHECK_EQ rax, rdx, "amd.smsw-register"
	mov	word [scratch], 0
	smsw	[scratch]
	movzx	eax, word [scratch]
	CHECK_EQ rax, rdx, "amd.smsw-memory"
	mov	rax, cr0
	or	rax, 8			; TS: with CD hidden every write exits
	mov	cr0, rax
	clts
	mov	rax, cr0
	and	rax, 8
	CHECK_EQ rax, 0, "amd.clts-while-cd"
	mov	cr0, rbx		; and off again: the real CR0 does not change, ours must
	mov	rax, cr0
	CHECK_EQ rax, rbx, "amd.cr0-cd-gone"

	mov	rax, rbx
	or	rax, 8
	mov	cr0, rax		; TS alone: no exit, same effect
	mov	rax, cr0
	and	rax, 8
	CHECK_EQ rax, 8, "amd.cr0-ts"
	mov	word [scratch], bx
	lmsw	[scratch]
	mov	rax, cr0
	CHECK_EQ rax, rbx, "amd.lmsw-memory"

	mov	eax, 5
	mov	cr8, rax
	xor	ecx, ecx
	mov	rcx, cr8
	CHECK_EQ rcx, 5, "amd.cr8"
	mov	r9d, 7			; a register that only the REX prefix names
	mov	cr8, r9
	mov	r15, cr8
	CHECK_EQ r15, 7, "amd.cr8-r15"
	xor	eax, eax
	mov	cr8, rax
	mov	rax, cr4
	mov	r9, rax
	xor	r9, 0x80		; PGE
	mov	cr4, r9
	mov	r10, cr4
	CHECK_EQ r10, r9, "amd.cr4-pge"
	mov	cr4, rax
	mov	eax, 1 << 30
	EXPECT_FAULT 13, "amd.cr4-reserved", mov cr4, rax
	ret

; Every instruction traps, those that exit too: #DB with RIP behind each, DR6.BS set.
single_step:
	SET_GATE 1, on_step
	mov	qword [steps], 0
	mov	qword [bad_steps], 0
	pushfq
	or	qword [rsp], RFLAGS_TF
	popfq
.first:	nop				; the trap flag of POPF acts after this one
	xor	eax, eax
	cpuid
	xor	eax, eax
	in	al, 0x61
	out	0x80, al
	nop				; the handler ends it here: the last of STEPS
	nop
	CHECK_EQ qword [steps], STEPS, "amd.step.count"
	CHECK_EQ qword [bad_steps], 0, "amd.step.dr6-bs"
	ret

on_step:
	push	rax
	mov	rax, dr6
	test	eax, DR6_BS
	jnz	.good
	inc	qword [bad_steps]
.good:	inc	qword [steps]
	cmp	qword [steps], STEPS
	jne	.more
	and	qword [rsp + 24], ~RFLAGS_TF
.more:	mov	eax, 0xffff0ff0
	mov	dr6, rax
	pop	rax
	iretq

; Two NMIs: the second, sent from inside the handler, must wait for its IRET and then come.
nmis:
	SET_GATE 2, on_nmi
	mov	ecx, 0x1b
	rdmsr
	or	eax, 0xc00
	wrmsr
	mov	qword [nmi_count], 0
	mov	qword [nmi_depth], 0
	mov	qword [nmi_nested], 0
	mov	ecx, X2APIC_ICR
	xor	edx, edx
	mov	eax, ICR_NMI_TO_0
	wrmsr
	mov	ecx, 1000
.wait:	in	al, 0x61		; exits: after the IRET one of them lets the second in
	cmp	qword [nmi_count], 2
	je	.done
	loop	.wait
.done:	CHECK_EQ qword [nmi_count], 2, "amd.nmi.both"
	CHECK_EQ qword [nmi_nested], 0, "amd.nmi.not-nested"
	ret

on_nmi:
	push	rax
	push	rcx
	push	rdx
	cmp	qword [nmi_depth], 0
	je	.alone
	inc	qword [nmi_nested]
.alone:	inc	qword [nmi_depth]
	inc	qword [nmi_count]
	cmp	qword [nmi_count], 1
	jne	.out
	mov	ecx, X2APIC_ICR
	xor	edx, edx
	mov	eax, ICR_NMI_TO_0
	wrmsr
	in	al, 0x61		; a few exits in which it could slip in
	cpuid
.out:	dec	qword [nmi_depth]
	pop	rdx
	pop	rcx
	pop	rax
	iretq

align 8
scratch:	dq 0
steps:		dq 0
bad_steps:	dq 0
nmi_count:	dq 0
nmi_depth:	dq 0
nmi_nested:	dq 0
