; SPDX-License-Identifier: MIT
;
; Guest entry and return: void svm_vmrun(uint64_t *gpr, uint64_t vmcb_pa, uint64_t host_pa)
;
; Called like a function, returns like one, at the exit. VMRUN is not a jump: execution goes on behind it
; after the exit, with our RSP and RIP, which VMRUN saved in the page that VM_HSAVE_PA names.
;
; Three parties switch registers. VMRUN and #VMEXIT: RAX, RSP, RIP, RFLAGS, control registers, CS, SS, DS,
; ES, GDTR and IDTR. VMLOAD and VMSAVE: FS, GS, TR, LDTR and the MSRs of SYSCALL and SYSENTER. We, here: the
; other fourteen general registers.
;
; gpr[] is in the order of instruction encodings (cpu_state.h); slots 0 and 4 (RAX, RSP) are not touched
; here.
;
; From CLGI to STGI nothing can interrupt us, not even an NMI: in between FS, GS, TR, LDTR and the syscall
; MSRs are the guest's, and our handlers find their data through GS and their stacks through TR. RFLAGS.IF
; is set at VMRUN so that physical interrupts end the guest (V_INTR_MASKING); it takes effect only inside,
; because GIF is clear outside. APM vol. 2, 15.17 "Global Interrupt Flag, STGI and CLGI Instructions",
; 15.21.1 "Physical (INTR) Interrupt Masking in EFLAGS", 15.5.2 "VMSAVE and VMLOAD".

%include "arch/x86/host/return_stack.inc"

bits 64
default rel

%define GPR(n) [rdi + 8 * (n)]
%define RCX_ 1
%define RDX_ 2
%define RBX_ 3
%define RBP_ 5
%define RSI_ 6
%define RDI_ 7

extern svm_fills_returns

section .text
global svm_vmrun
svm_vmrun:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdx			; host_pa
	push	rdi			; gpr

	; The three instructions below take the VMCB's physical address in RAX. VMRUN gives RAX back, so it
	; is loaded once.
	clgi
	mov	rax, rsi		; vmcb_pa
	vmload
	; IF becomes 1 here and not right before VMRUN: the shadow of STI would cover VMRUN and, in its place, the
	; guest's first instruction. No interrupt comes in between, because GIF is clear.
	sti
	cmp	byte [svm_fills_returns], 0	; waits in ZF: MOV does not change flags
	mov	rcx, GPR(RCX_)
	mov	rdx, GPR(RDX_)
	mov	rbx, GPR(RBX_)
	mov	rbp, GPR(RBP_)
	mov	rsi, GPR(RSI_)
	mov	r8, GPR(8)
	mov	r9, GPR(9)
	mov	r10, GPR(10)
	mov	r11, GPR(11)
	mov	r12, GPR(12)
	mov	r13, GPR(13)
	mov	r14, GPR(14)
	mov	r15, GPR(15)
	mov	rdi, GPR(RDI_)		; last: it was the pointer
	jne	.vmrun_and_fill
	vmrun
.after:
	; After the exit: GIF is clear, RFLAGS are ours from before VMRUN (IF is 1), RAX and RSP are ours,
	; the rest is the guest's.
	cli
	vmsave				; the guest's FS, GS, TR, LDTR and MSRs into its VMCB

	; No register is free. RDI is borrowed: the guest's value waits on the stack, above the pointer to gpr[].
	push	rdi
	mov	rdi, [rsp + 8]		; gpr
	mov	GPR(RCX_), rcx
	mov	GPR(RDX_), rdx
	mov	GPR(RBX_), rbx
	mov	GPR(RBP_), rbp
	mov	GPR(RSI_), rsi
	mov	GPR(8), r8
	mov	GPR(9), r9
	mov	GPR(10), r10
	mov	GPR(11), r11
	mov	GPR(12), r12
	mov	GPR(13), r13
	mov	GPR(14), r14
	mov	GPR(15), r15
	pop	qword GPR(RDI_)

	; Our own FS, GS and TR are back before GIF is set: an NMI that waited comes at STGI, and its
	; handler needs them.
	mov	rax, [rsp + 8]		; host_pa
	vmload
	stgi
	add	rsp, 16
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret

	; The same entry where the first RET behind it might follow a prediction of the guest's (host/speculation.h). No
	; branch lies between the exit and the calls, for that could be predicted wrongly as well.
.vmrun_and_fill:
	vmrun
	REPLACE_RETURNS RETURN_STACK
	jmp	.after
