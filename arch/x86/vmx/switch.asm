; SPDX-License-Identifier: MIT
;
; unsigned vmx_switch(struct vcpu *vcpu /* rdi */, struct vmx_vcpu *vmx /* rsi */)
;
; Enter the guest and come back at the exit: to its C caller this is a function call. It returns 0 after an exit. When
; the entry itself fails, it returns 1 for VMfailInvalid, 2 for VMfailValid (SDM vol. 3, 31.2 "Conventions"). Only the
; general registers change hands here; RSP, RIP, RFLAGS, control registers and segments are the VMCS's, the rest is not
; ours to touch.
;
; struct vcpu begins with the sixteen general registers in encoding order, RSP's slot unused, then arch;
; struct vmx_vcpu begins with host_rsp and launched. vmx/backend.c asserts these offsets.

bits 64
default rel

RAX_ equ 0
RCX_ equ 8
RDX_ equ 16
RBX_ equ 24
RBP_ equ 40
RSI_ equ 48
RDI_ equ 56
VMCS_HOST_RSP equ 0x6c14
ARCH equ 128
LAUNCHED equ 8

section .text

global vmx_switch
global vmx_exit_landing

vmx_switch:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi			; the exit finds the vCPU here

	cmp	rsp, [rsi]		; the same depth as last time: the field still holds it
	je	.host_rsp_known
	mov	[rsi], rsp
	mov	eax, VMCS_HOST_RSP
	vmwrite	rax, rsp
.host_rsp_known:
	cmp	qword [rsi + LAUNCHED], 0	; the flags live until the branch below: MOV leaves them alone
	mov	rax, [rdi + RAX_]
	mov	rcx, [rdi + RCX_]
	mov	rdx, [rdi + RDX_]
	mov	rbx, [rdi + RBX_]
	mov	rbp, [rdi + RBP_]
	mov	rsi, [rdi + RSI_]
	mov	r8,  [rdi + 64]
	mov	r9,  [rdi + 72]
	mov	r10, [rdi + 80]
	mov	r11, [rdi + 88]
	mov	r12, [rdi + 96]
	mov	r13, [rdi + 104]
	mov	r14, [rdi + 112]
	mov	r15, [rdi + 120]
	mov	rdi, [rdi + RDI_]
	jz	.launch
	vmresume
	jmp	.failed
.launch:
	push	rdx			; a failed launch ends the VM, so "launched" may be said before it is true
	mov	rdx, [rsp + 8]
	mov	rdx, [rdx + ARCH]
	mov	qword [rdx + LAUNCHED], 1
	pop	rdx
	vmlaunch

.failed:				; no guest ran: our own registers were overwritten, nothing else
	pop	rdi
	mov	eax, 1			; MOV leaves the flags alone
	jc	vmx_exit_landing.return
	mov	eax, 2
	jmp	vmx_exit_landing.return

align 16
vmx_exit_landing:			; RSP is what HOST_RSP said: our frame, the vCPU on top
	xchg	rdi, [rsp]
	mov	[rdi + RAX_], rax
	mov	[rdi + RCX_], rcx
	mov	[rdi + RDX_], rdx
	mov	[rdi + RBX_], rbx
	mov	[rdi + RBP_], rbp
	mov	[rdi + RSI_], rsi
	mov	[rdi + 64], r8
	mov	[rdi + 72], r9
	mov	[rdi + 80], r10
	mov	[rdi + 88], r11
	mov	[rdi + 96], r12
	mov	[rdi + 104], r13
	mov	[rdi + 112], r14
	mov	[rdi + 120], r15
	pop	qword [rdi + RDI_]	; the guest's RDI, exchanged above
	xor	eax, eax
.return:
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
