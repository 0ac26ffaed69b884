; SPDX-License-Identifier: MIT
; Breakpoints that strike, although other VMs had the processor in between. dr.asm is about the registers themselves.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "debug.inc"

WATCHED		equ 0x200000
OTHERS_MS	equ 30

; Bochs' AMD processors leave DR6 empty when a #DB is intercepted.
%macro CHECK_STATUS 2			; B0-B3 expected, name
	call	is_amd
	test	eax, eax
	jnz	%%skip
	mov	rax, [db_dr6]
	and	eax, 0xf
	CHECK_EQ rax, %1, %2
	jmp	%%end
%%skip:	SKIP	%2, "not told on this processor"
%%end:
%endmacro

main:
	SET_GATE 1, db_handler
	call	breakpoints
	DONE

breakpoints:
	mov	rax, .here
	mov	dr0, rax
	mov	rax, 0x403		; instruction, DR0
	mov	dr7, rax
	mov	eax, OTHERS_MS
	call	spin_ms
	mov	qword [db_count], 0
	nop
.here:	nop
	nop
	CHECK_EQ qword [db_count], 1, "debug.instruction"
	mov	rax, [db_rip]
	CHECK_EQ rax, .here, "debug.instruction-rip"
	CHECK_STATUS 1, "debug.instruction-dr6"
	mov	rax, WATCHED
	mov	dr1, rax
	mov	rax, 0xd0040c		; 4 bytes, write, DR1
	mov	dr7, rax
	mov	eax, OTHERS_MS
	call	spin_ms
	mov	qword [db_count], 0
	mov	dword [WATCHED], 5
.behind:
	nop
	CHECK_EQ qword [db_count], 1, "debug.watchpoint"
	mov	rax, [db_rip]
	CHECK_EQ rax, .behind, "debug.watchpoint-rip"
	CHECK_STATUS 2, "debug.watchpoint-dr6"
	mov	rax, 0x400
	mov	dr7, rax
	ret
