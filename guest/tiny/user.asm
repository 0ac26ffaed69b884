; SPDX-License-Identifier: MIT
; Ring 3: what exits from there must be refused there too.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "user.inc"

main:
	call	user_init
	TO_USER	IOPL3			; so that the reports get out
	mov	ax, cs
	and	eax, 3
	CHECK_EQ rax, 3, "user.cpl"
	mov	eax, 1
	mov	ebx, 9
	call	hypercall
	CHECK_EQ rax, -2, "user.hypercall-exit-denied"
	mov	eax, 2
	mov	ebx, main
	mov	ecx, 4
	call	hypercall
	CHECK_EQ rax, -2, "user.hypercall-print-denied"
	mov	eax, 0x40000000
	cpuid
	CHECK_EQ rbx, 'Trap', "user.cpuid"
	mov	ecx, 0x1b
	EXPECT_FAULT 13, "user.rdmsr", rdmsr
	EXPECT_FAULT 13, "user.wrmsr", wrmsr
	EXPECT_FAULT 13, "user.hlt", hlt
	EXPECT_FAULT 13, "user.read-cr0", {mov rax, cr0}
	EXPECT_FAULT 13, "user.write-cr0", {mov cr0, rax}
	EXPECT_FAULT 13, "user.read-cr8", {mov rax, cr8}
	EXPECT_FAULT 13, "user.clts", clts
	EXPECT_FAULT 13, "user.lmsw", {lmsw ax}
	EXPECT_FAULT 13, "user.invd", invd
	EXPECT_FAULT 13, "user.wbinvd", wbinvd
	EXPECT_FAULT 13, "user.read-dr7", {mov rax, dr7}
	EXPECT_FAULT 13, "user.write-dr0", {mov dr0, rax}
	EXPECT_FAULT 13, "user.rdpmc", rdpmc
	; bytes that are no instruction, and LOCK where it is not allowed
	EXPECT_FAULT 6, "user.no-instruction", {db 0x06}
	EXPECT_FAULT 6, "user.lock-cpuid", {db 0xf0, 0x0f, 0xa2}
	mov	edi, USER_STACK - 64
	mov	ecx, 4
	mov	dx, UART_SCRATCH
	EXPECT_FAULT 6, "user.lock-insb", {db 0xf0, 0x6c}
	EXPECT_FAULT 6, "user.lock-rep-insb", {db 0xf0, 0xf3, 0x6c}
	mov	rbx, 0xe0000000
	EXPECT_FAULT 6, "user.lock-mov-to-device", {db 0xf0, 0x89, 0x03}
	pause
	call	now
	mov	rbx, 0xe0000000
	mov	eax, [rbx]
	inc	eax
	CHECK_EQ rax, 0, "user.mmio"
	TO_KERNEL
	mov	ax, cs
	and	eax, 3
	CHECK_EQ rax, 0, "user.back"

	TO_USER	0			; no IOPL, and the TSS has no I/O map
	mov	dx, UART_SCRATCH
	mov	r8, -1
	mov	qword [expected_vector], 13
	mov	qword [expected_rip], .in
	mov	qword [resume_rip], .after_in
	mov	qword [fault_count], 0
.in:	in	al, dx
.after_in:
	mov	r8, [fault_count]
	mov	qword [expected_rip], .outs
	mov	qword [resume_rip], .after_outs
	mov	rsi, main
	mov	ecx, 5
.outs:	rep	outsb
.after_outs:
	mov	r9, [fault_count]
	mov	qword [expected_vector], -1
	TO_KERNEL
	CHECK_EQ r8, 1, "user.in-denied"
	CHECK_EQ r9, 2, "user.outs-denied"
	CHECK_EQ rcx, 5, "user.outs-denied-rcx"

	; CR4.TSD
	mov	rax, cr4
	or	rax, 4
	mov	cr4, rax
	TO_USER	IOPL3
	EXPECT_FAULT 13, "user.rdtsc-tsd", rdtsc
	TO_KERNEL
	DONE
