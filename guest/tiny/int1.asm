; SPDX-License-Identifier: MIT
; INT1 (the byte f1): one #DB, which returns behind it and needs no rights, in ring 0, in ring 3, and in a shadow.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "user.inc"
%include "debug.inc"

%macro INT1 1				; name
	mov	qword [db_count], 0
	db	0xf1
%%behind:
	mov	r14, [db_rip]
	CHECK_EQ qword [db_count], 1, {%1, " count"}
	CHECK_EQ r14, %%behind, {%1, " rip"}
%endmacro

main:
	SET_GATE 1, db_handler
	INT1	"int1.ring-0"
	mov	rax, [db_dr6]
	and	eax, 0xf00f
	CHECK_EQ rax, 0, "int1.dr6"
	; in the shadow of MOV SS, with TF set before it: its #DB, and no endless loop
	mov	eax, ss
	mov	qword [db_count], 0
	pushfq
	or	qword [rsp], 0x100
	popfq
	mov	ss, eax
	db	0xf1
.behind:
	nop
	mov	rax, [db_rip]
	CHECK_RANGE qword [db_count], 1, 2, "int1.mov-ss count"
	CHECK_EQ rax, .behind, "int1.mov-ss rip"
	call	user_init
	mov	qword [db_count], 0
	TO_USER	IOPL3
	db	0xf1
.user:	nop
	TO_KERNEL
	mov	rax, [db_rip]
	CHECK_EQ qword [db_count], 1, "int1.ring-3 count"
	CHECK_EQ rax, .user, "int1.ring-3 rip"
	DONE
