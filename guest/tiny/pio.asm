; SPDX-License-Identifier: MIT
; Port I/O: every size and direction, what stays of a register, strings with REP, both directions, address
; sizes, page crossings and faults in the middle.
%include "tiny.inc"
TINY_64
%include "check.inc"

FLAGS_ALL	equ 0x8d5		; CF PF AF ZF SF OF
BUFFER		equ 0x200000
PATTERN		equ 0x1122334455667788

main:
	call	plain
	call	flags
	call	strings_in
	call	strings_out
	call	crossing
	call	faults
	DONE

plain:
	mov	rax, PATTERN
	mov	dx, NO_PORT
	in	al, dx
	CHECK_IMM64 rax, 0x11223344556677ff, "pio.in8-nobody"
	mov	rax, PATTERN
	in	ax, dx
	CHECK_IMM64 rax, 0x112233445566ffff, "pio.in16-nobody"
	mov	rax, PATTERN
	in	eax, dx
	CHECK_IMM64 rax, 0x00000000ffffffff, "pio.in32-zero-extends"
	mov	rax, PATTERN
	in	al, 0x80
	CHECK_IMM64 rax, 0x11223344556677ff, "pio.in8-immediate"
	mov	rax, PATTERN
	in	ax, 0x84
	CHECK_IMM64 rax, 0x112233445566ffff, "pio.in16-immediate"
	mov	rax, PATTERN
	in	eax, 0x84
	CHECK_IMM64 rax, 0x00000000ffffffff, "pio.in32-immediate"
	mov	rax, PATTERN
	out	dx, al
	out	dx, ax
	out	dx, eax
	out	0x80, al
	out	0x80, ax
	out	0x80, eax
	CHECK_IMM64 rax, PATTERN, "pio.out-keeps-rax"
	CHECK_EQ rdx, NO_PORT, "pio.keeps-rdx"
	mov	dx, UART_SCRATCH
	mov	rax, 0x1122334455667799
	out	dx, al
	mov	rax, PATTERN
	in	al, dx
	CHECK_IMM64 rax, 0x1122334455667799, "pio.device-8"
	mov	rdx, 0xdead000000000000 | UART_SCRATCH
	mov	al, 0x42
	out	dx, al
	xor	eax, eax
	in	al, dx
	CHECK_EQ rax, 0x42, "pio.only-dx-counts"
	; a wide access to byte registers, and past the last port
	mov	dx, 0xfffe
	in	eax, dx
	inc	eax
	CHECK_EQ rax, 0, "pio.past-the-end"
	mov	dx, 0xffff
	in	ax, dx
	CHECK_EQ 1, 1, "pio.wraps"
	mov	dx, 0x608		; the ACPI timer counts 24 bits
	in	eax, dx
	shr	eax, 24
	CHECK_EQ rax, 0, "pio.device-32"
	ret

flags:
	mov	dx, UART_SCRATCH
	push	FLAGS_ALL | 2
	popfq
	in	al, dx
	pushfq
	pop	rbx
	and	rbx, FLAGS_ALL
	CHECK_EQ rbx, FLAGS_ALL, "pio.in-keeps-flags"
	push	2
	popfq
	out	dx, al
	pushfq
	pop	rbx
	and	rbx, FLAGS_ALL
	CHECK_EQ rbx, 0, "pio.out-keeps-flags"
	ret

clear_buffer:
	push	rdi
	push	rcx
	push	rax
	mov	edi, BUFFER
	mov	ecx, 64
	xor	eax, eax
	rep	stosq
	pop	rax
	pop	rcx
	pop	rdi
	ret

strings_in:
	mov	r8, rdx
	mov	dx, UART_SCRATCH
	mov	al, 0x5a
	out	dx, al
	call	clear_buffer
	mov	edi, BUFFER
	insb
	CHECK_EQ rdi, BUFFER + 1, "pio.insb-rdi"
	CHECK_EQ qword [BUFFER], 0x5a, "pio.insb"
	mov	edi, BUFFER
	mov	ecx, 5
	rep	insb
	mov	rax, [BUFFER]
	CHECK_IMM64 rax, 0x5a5a5a5a5a, "pio.rep-insb"
	CHECK_EQ rdi, BUFFER + 5, "pio.rep-insb-rdi"
	CHECK_EQ rcx, 0, "pio.rep-insb-rcx"
	CHECK_EQ rdx, r8, "pio.rep-insb-rdx"
	call	clear_buffer
	xor	ecx, ecx
	mov	edi, BUFFER
	rep	insb
	CHECK_EQ rdi, BUFFER, "pio.rep-zero"
	CHECK_EQ qword [BUFFER], 0, "pio.rep-zero-writes-nothing"
	std
	mov	edi, BUFFER + 7
	mov	ecx, 3
	rep	insb
	cld
	mov	rax, [BUFFER]
	CHECK_IMM64 rax, 0x5a5a5a0000000000, "pio.rep-insb-down"
	CHECK_EQ rdi, BUFFER + 4, "pio.rep-insb-down-rdi"
	call	clear_buffer
	mov	dx, NO_PORT
	mov	edi, BUFFER
	insw
	insd
	mov	rax, [BUFFER]
	CHECK_IMM64 rax, 0x0000ffffffffffff, "pio.insw-insd"
	CHECK_EQ rdi, BUFFER + 6, "pio.insw-insd-rdi"
	; 32-bit addresses: RDI and RCX lose their upper halves
	call	clear_buffer
	mov	rdi, 0xffffffff00000000 + BUFFER
	mov	rcx, 0xffffffff00000002
	a32 rep insd
	mov	rax, [BUFFER]
	CHECK_EQ rax, -1, "pio.a32-rep-insd"
	CHECK_EQ rdi, BUFFER + 8, "pio.a32-rdi"
	CHECK_EQ rcx, 0, "pio.a32-rcx"
	; more than one exit's worth
	mov	dx, UART_SCRATCH
	mov	edi, BUFFER
	mov	ecx, 1000
	rep	insb
	CHECK_EQ rdi, BUFFER + 1000, "pio.rep-long-rdi"
	mov	al, [BUFFER + 999]
	movzx	eax, al
	CHECK_EQ rax, 0x5a, "pio.rep-long-last"
	mov	edi, BUFFER
	mov	ecx, 1000
	mov	al, 0x5a
	repe	scasb
	CHECK_EQ rcx, 0, "pio.rep-long-all"
	ret

strings_out:
	mov	dx, PORT_DEBUG
	mov	rsi, .text
	mov	ecx, .length
	rep	outsb
	CHECK_EQ rsi, .text + .length, "pio.rep-outsb-rsi"
	CHECK_EQ rcx, 0, "pio.rep-outsb-rcx"
	mov	dx, UART_SCRATCH
	mov	rsi, .bytes
	outsb
	in	al, dx
	movzx	eax, al
	CHECK_EQ rax, 0x81, "pio.outsb"
	mov	ecx, 4
	mov	rsi, .bytes
	rep	outsb
	in	al, dx
	movzx	eax, al
	CHECK_EQ rax, 0x84, "pio.rep-outsb-last"
	std
	mov	ecx, 3
	mov	rsi, .bytes + 3
	rep	outsb
	cld
	in	al, dx
	movzx	eax, al
	CHECK_EQ rax, 0x82, "pio.rep-outsb-down"
	CHECK_EQ rsi, .bytes, "pio.rep-outsb-down-rsi"
	; a segment with a base
	WRITE_MSR 0xc0000101, BUFFER
	mov	byte [BUFFER + 0x40], 0x99
	mov	dx, UART_SCRATCH
	mov	esi, 0x40
	gs outsb
	in	al, dx
	movzx	eax, al
	CHECK_EQ rax, 0x99, "pio.gs-outsb"
	mov	rsi, 0xffffffff00000040
	gs a32 outsb
	CHECK_EQ rsi, 0x41, "pio.gs-a32-outsb-rsi"
	WRITE_MSR 0xc0000101, 0
	mov	dx, NO_PORT
	mov	rsi, .bytes
	outsw
	outsd
	CHECK_EQ rsi, .bytes + 6, "pio.outsw-outsd-rsi"
	ret
.text:	db	"said by rep outsb", 10
.length	equ $ - .text
.bytes:	db	0x81, 0x82, 0x83, 0x84, 0x85, 0x86

; An element across two pages that lie apart in guest-physical memory.
crossing:
	mov	rax, SMALL_PAGES + 8 * PAGE
	call	unmap_page
	mov	qword [SMALL_TABLE + 1 * 8], SMALL_PAGES + 5 * PAGE + 7
	mov	rax, cr3
	mov	cr3, rax
	mov	dword [SMALL_PAGES + PAGE - 4], 0
	mov	dword [SMALL_PAGES + 5 * PAGE], 0
	mov	dword [SMALL_PAGES + PAGE + 8], 0
	mov	edi, SMALL_PAGES + PAGE - 2
	mov	dx, NO_PORT
	insd
	mov	eax, [SMALL_PAGES + PAGE - 4]
	mov	ebx, 0xffff0000
	CHECK_EQ rax, rbx, "pio.crossing-first"
	mov	eax, [SMALL_PAGES + 5 * PAGE]
	CHECK_EQ rax, 0xffff, "pio.crossing-second"
	mov	edi, SMALL_PAGES + PAGE - 6
	mov	ecx, 3
	rep	insd
	CHECK_EQ rdi, SMALL_PAGES + PAGE + 6, "pio.crossing-rep"
	ret

faults:
	mov	rax, SMALL_PAGES + 8 * PAGE
	call	unmap_page
	mov	dx, UART_SCRATCH
	mov	al, 0x77
	out	dx, al
	mov	edi, SMALL_PAGES + 8 * PAGE - 3
	mov	ecx, 10
	EXPECT_FAULT 14, "pio.insb-fault", {rep insb}
	CHECK_EQ rdi, SMALL_PAGES + 8 * PAGE, "pio.insb-fault-rdi"
	CHECK_EQ rcx, 7, "pio.insb-fault-rcx"
	CHECK_EQ qword [fault_error], 2, "pio.insb-fault-code"
	mov	rax, cr2
	CHECK_EQ rax, SMALL_PAGES + 8 * PAGE, "pio.insb-fault-cr2"
	mov	eax, [SMALL_PAGES + 8 * PAGE - 4]
	shr	eax, 8
	CHECK_EQ rax, 0x777777, "pio.insb-fault-done-before"
	mov	esi, SMALL_PAGES + 8 * PAGE
	mov	ecx, 10
	EXPECT_FAULT 14, "pio.outsb-fault", {rep outsb}
	CHECK_EQ rsi, SMALL_PAGES + 8 * PAGE, "pio.outsb-fault-rsi"
	CHECK_EQ rcx, 10, "pio.outsb-fault-rcx"
	CHECK_EQ qword [fault_error], 0, "pio.outsb-fault-code"
	; the port of a faulting OUTS must not have been touched
	in	al, dx
	movzx	eax, al
	CHECK_EQ rax, 0x77, "pio.outsb-fault-no-output"
	mov	rdi, 0x0000800000000000
	EXPECT_FAULT 13, "pio.insb-non-canonical", insb
	EXPECT_FAULT 6, "pio.lock-outsb", {db 0xf0, 0x6e}
	; read-only page, CR0.WP
	mov	rax, cr0
	bts	rax, 16
	mov	cr0, rax
	mov	qword [SMALL_TABLE + 9 * 8], SMALL_PAGES + 9 * PAGE + 5
	mov	rax, cr3
	mov	cr3, rax
	mov	edi, SMALL_PAGES + 9 * PAGE
	EXPECT_FAULT 14, "pio.insb-read-only", insb
	CHECK_EQ qword [fault_error], 3, "pio.insb-read-only-code"
	ret
