; SPDX-License-Identifier: MIT
;
; One stub for each of the 256 gates of the IDT. A stub makes the stack look the same (an error code, then
; the vector) and joins trap_common, which completes struct trap_frame (trap.h, same order) and calls
; trap_handle. Everything runs in ring 0 from ring 0, so there is no SWAPGS; RBP is left alone until it is
; saved, so that backtraces begin in the interrupted function. SDM vol. 3, 6.14 "Exception and Interrupt
; Handling in 64-bit Mode".

bits 64

extern trap_handle

STUB_SIZE	equ 16			; idt.c steps through trap_stubs by this

%macro HAS_ERROR 1			; vectors for which the processor pushes an error code
	%assign has_error 0
	%if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30
		%assign has_error 1
	%endif
%endmacro

section .text.trap_stubs progbits alloc exec nowrite align=16
global trap_stubs
trap_stubs:
%assign vector 0
%rep 256
	align	STUB_SIZE, int3
	HAS_ERROR vector
	%if !has_error
	push	0
	%endif
	push	strict dword vector
	jmp	strict near trap_common
	%assign vector vector + 1
%endrep

section .text.trap_common progbits alloc exec nowrite align=16
trap_common:
	push	rax
	push	rcx
	push	rdx
	push	rbx
	push	rbp
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld				; the interrupted code may have been in the middle of a backward copy
	mov	rdi, rsp
	mov	rbx, rsp		; survives the call
	and	rsp, -16
	call	trap_handle
	mov	rsp, rbx
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rdi
	pop	rsi
	pop	rbp
	pop	rbx
	pop	rdx
	pop	rcx
	pop	rax
	add	rsp, 16			; vector and error code
	iretq
