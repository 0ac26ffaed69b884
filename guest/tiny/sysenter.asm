; SPDX-License-Identifier: MIT
; SYSENTER from compatibility mode: Intel's processors enter 64-bit code, AMD's raise #UD. Either way the VM lives on.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "user.inc"

USER_CODE32	equ 0x53

main:
	call	user_init
	SET_GATE 6, .arrived
	WRITE_MSR 0x174, CODE64
	WRITE_MSR 0x175, RING0_STACK
	WRITE_MSR 0x176, .arrived
	push	USER_DATA
	push	USER_STACK
	push	2
	push	USER_CODE32
	push	.compatible
	iretq
bits 32
.compatible:
	sysenter
bits 64
.arrived:
	mov	rsp, STACK
	xor	eax, eax
	cpuid
	mov	eax, cs
	CHECK_EQ rax, CODE64, "sysenter.cs"
	DONE
