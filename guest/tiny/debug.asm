; SPDX-License-Identifier: MIT
; Breakpoints, and the debug registers themselves.
%include "tiny.inc"
TINY_64
%include "check.inc"

WATCHED		equ 0x200000

db_count:	dq 0
db_rip:		dq 0
db_dr6:		dq 0

db_handler:				; notes where and why, and ends the stepping
	push	rax
	inc	qword [db_count]
	mov	rax, [rsp + 8]
	mov	[db_rip], rax
	mov	rax, dr6
	mov	[db_dr6], rax
	xor	eax, eax
	mov	dr6, rax
	and	qword [rsp + 24], ~0x100
	or	qword [rsp + 24], 0x10000	; RF: not again for an instruction breakpoint
	pop	rax
	iretq

main:
	SET_GATE 1, db_handler
	call	breakpoints
	call	registers
	DONE

breakpoints:
	mov	rax, .here
	mov	dr0, rax
	mov	rax, 0x403		; instruction, DR0
	mov	dr7, rax
	mov	qword [db_count], 0
	nop
.here:	nop
	nop
	CHECK_EQ qword [db_count], 1, "step.instruction-breakpoint"
	mov	rax, [db_rip]
	CHECK_EQ rax, .here, "step.instruction-breakpoint-rip"
	mov	rax, [db_dr6]
	and	eax, 0xf
	CHECK_EQ rax, 1, "step.instruction-breakpoint-dr6"
	mov	rax, WATCHED
	mov	dr1, rax
	mov	rax, 0xd0040c		; 4 bytes, write, DR1
	mov	dr7, rax
	mov	qword [db_count], 0
	mov	dword [WATCHED], 5
.behind:
	nop
	CHECK_EQ qword [db_count], 1, "step.watchpoint"
	mov	rax, [db_rip]
	CHECK_EQ rax, .behind, "step.watchpoint-rip"
	mov	rax, [db_dr6]
	and	eax, 0xf
	CHECK_EQ rax, 2, "step.watchpoint-dr6"
	mov	rax, 0x400
	mov	dr7, rax
	ret

registers:
	mov	rax, 0x1111000
	mov	dr0, rax
	mov	rax, 0x2222000
	mov	dr1, rax
	mov	rax, 0x3333000
	mov	dr2, rax
	mov	rax, 0x4444000
	mov	dr3, rax
	xor	eax, eax
	cpuid
	mov	rax, dr0
	CHECK_EQ rax, 0x1111000, "step.dr0"
	mov	rax, dr1
	CHECK_EQ rax, 0x2222000, "step.dr1"
	mov	rax, dr2
	CHECK_EQ rax, 0x3333000, "step.dr2"
	mov	rax, dr3
	CHECK_EQ rax, 0x4444000, "step.dr3"
	mov	rax, dr6
	CHECK_IMM64 rax, 0xffff0ff0, "step.dr6-reserved"
	mov	rax, dr7
	CHECK_EQ rax, 0x400, "step.dr7"
	mov	rax, cr4
	or	rax, 8			; DE
	mov	cr4, rax
	EXPECT_FAULT 6, "step.dr4-with-de", {db 0x0f, 0x21, 0xe0}
	ret
