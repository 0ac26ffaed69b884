; SPDX-License-Identifier: MIT
;
; unsigned vmx_switch(struct vcpu *vcpu /* rdi */, struct vmx_vcpu *vmx /* rsi */)
;
; Enter the guest and come back at the exit: to its C caller this is a function call. It returns 0 after an
; exit. When the entry itself fails, it returns 1 for VMfailInvalid, 2 for VMfailValid (SDM vol. 3, 31.2
; "Conventions").
;
; The processor switches RIP, RSP, RFLAGS, control registers, segments and some MSRs by itself, from and to
; the VMCS. It does not touch the other fifteen general registers: at an exit they still hold the guest's
; values, and at an entry the guest finds there what we left. Exchanging those is all that happens here.
; Vector registers and the SYSCALL MSRs keep the guest's values while we run (virt/load.c).
;
; No interrupt can come in between: interrupts are off in the hypervisor, and each exit clears RFLAGS.
;
; The stack while the guest runs, downwards from HOST_RSP + 56:
;
;	return address, RBP, RBX, R12, R13, R14, R15, and at HOST_RSP itself the pointer to the vCPU
;
; struct vcpu begins with the sixteen general registers in encoding order, RSP's slot unused, then arch;
; struct vmx_vcpu begins with host_rsp and launched. vmx/backend.c asserts these offsets.

%include "arch/x86/host/return_stack.inc"

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
global vmx_exit_landing_one
global vmx_exit_landing_all

vmx_switch:
	; What the C calling convention says a function must preserve; the caller expects nothing of the
	; other registers.
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi			; the exit finds the vCPU here

	; At the exit the processor loads RSP from HOST_RSP. The run loop calls from the same depth each
	; time, so the field mostly holds the right value already; host_rsp is our copy of it, and saves a
	; VMWRITE.
	cmp	rsp, [rsi]
	je	.host_rsp_known
	mov	[rsi], rsp
	mov	eax, VMCS_HOST_RSP
	vmwrite	rax, rsp
.host_rsp_known:
	; Which of the two instructions enters is decided before the guest's registers arrive, because
	; afterwards none is free. The answer waits in ZF until the branch below: MOV does not change flags.
	cmp	qword [rsi + LAUNCHED], 0
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
	mov	rdi, [rdi + RDI_]	; last: it was the pointer
	jz	.launch
	vmresume			; on success execution goes on at vmx_exit_landing, after the exit
	jmp	.failed

	; A VMCS that was cleared is entered with VMLAUNCH once, from then on with VMRESUME (SDM vol. 3,
	; 25.1 "Overview"). "Launched" is noted before it is true, for after the exit we would have to note
	; it each time. Should the launch fail, the VM ends, and nobody reads the note. RDX is borrowed; the
	; vCPU lies above it on the stack.
.launch:
	push	rdx
	mov	rdx, [rsp + 8]
	mov	rdx, [rdx + ARCH]
	mov	qword [rdx + LAUNCHED], 1
	pop	rdx
	vmlaunch

	; The next instruction is reached only when the entry failed: CF is set for VMfailInvalid (no
	; current VMCS), ZF for VMfailValid (the VM-instruction error field says why). No guest ran, and
	; vcpu->gpr is unchanged. The guest's values in our registers do no harm: the pops below restore
	; those that matter to the caller.
.failed:
	pop	rdi
	mov	eax, 1			; POP and MOV do not change flags
	jc	vmx_exit_landing.return
	mov	eax, 2
	jmp	vmx_exit_landing.return

	; On processors whose return predictions may be the guest's (host/speculation.h) the exit lands at one of
	; these two instead: HOST_RIP decides it, so that the others pay nothing.
vmx_exit_landing_all:
	REPLACE_RETURNS RETURN_STACK
	jmp	vmx_exit_landing
vmx_exit_landing_one:
	REPLACE_RETURNS 1
	jmp	vmx_exit_landing

	; The exit lands here: HOST_RIP points to this label, HOST_RSP to the frame that the entry built.
	; All fifteen registers are the guest's, so the first instruction must get hold of the vCPU without
	; losing one: it exchanges RDI with the pointer on the stack.
align 16
vmx_exit_landing:
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
	xor	eax, eax		; 0: the guest ran and exited
.return:
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret
