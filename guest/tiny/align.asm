; SPDX-License-Identifier: MIT
; #AC is always intercepted: a program must still get its own.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "user.inc"

main:
	call	user_init
	mov	rax, cr0
	bts	rax, 18			; AM
	mov	cr0, rax
	TO_USER	IOPL3
	mov	ebx, 0x200001
	mov	eax, [rbx]
	CHECK_EQ 1, 1, "align.off"
	mov	r8, rsp
	pushfq
	or	qword [rsp], RFLAGS_AC
	popfq
	mov	qword [expected_vector], 17
	mov	qword [expected_rip], .access
	mov	qword [resume_rip], .resumed
.access: mov	eax, [rbx]		; no EXPECT_FAULT: its words are not aligned either
.resumed:
	pushfq
	and	qword [rsp], ~RFLAGS_AC
	popfq
	CHECK_EQ qword [fault_count], 1, "align.ac"
	mov	qword [expected_vector], -1
	CHECK_EQ qword [fault_error], 0, "align.code"
	mov	eax, [rbx]
	TO_KERNEL
	DONE
