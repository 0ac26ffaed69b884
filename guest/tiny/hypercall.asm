; SPDX-License-Identifier: MIT
; The table of hypercalls: results, refusals, registers that keep, pointers that lie.
%include "tiny.inc"
TINY_64
%include "check.inc"

HC_VERSION	equ 0
HC_PRINT	equ 2
HC_TIME		equ 3
UNKNOWN		equ -1
BAD_ADDRESS	equ -3
BAD_LENGTH	equ -4

; PRINT pointer, length, expected, name
%macro PRINT 4
	mov	eax, HC_PRINT
	mov	rbx, %1
	mov	rcx, %2
	call	hypercall
	CHECK_EQ rax, %3, %4
%endmacro

main:
	mov	rbx, 0x1111111111111111
	mov	rcx, 0x2222222222222222
	mov	rdx, 0x3333333333333333
	mov	r15, 0x4444444444444444
	mov	eax, HC_VERSION
	call	hypercall
	CHECK_EQ rax, 1, "hypercall.version"
	CHECK_IMM64 rbx, 0x1111111111111111, "hypercall.keeps-rbx"
	CHECK_IMM64 rcx, 0x2222222222222222, "hypercall.keeps-rcx"
	CHECK_IMM64 rdx, 0x3333333333333333, "hypercall.keeps-rdx"
	mov	rax, r15
	mov	r15, 0
	CHECK_IMM64 rax, 0x4444444444444444, "hypercall.keeps-r15"
	mov	eax, 99
	call	hypercall
	CHECK_EQ rax, UNKNOWN, "hypercall.unknown"
	mov	rax, -1
	call	hypercall
	CHECK_EQ rax, UNKNOWN, "hypercall.unknown-last"
	mov	rax, 0x100000000
	call	hypercall
	CHECK_EQ rax, UNKNOWN, "hypercall.unknown-wide"

	PRINT	.text, .length, .length, "hypercall.print"
	PRINT	.text, 0, 0, "hypercall.print-nothing"
	PRINT	.text, 4097, BAD_LENGTH, "hypercall.print-too-long"
	PRINT	.text, -1, BAD_LENGTH, "hypercall.print-length-wraps"
	PRINT	0x0000800000000000, 10, BAD_ADDRESS, "hypercall.print-non-canonical"
	PRINT	-5, 10, BAD_ADDRESS, "hypercall.print-wraps"
	PRINT	NOT_A_DEVICE, 10, BAD_ADDRESS, "hypercall.print-no-ram"
	PRINT	0xfee00000, 10, BAD_ADDRESS, "hypercall.print-device"
	mov	rax, SMALL_PAGES + PAGE
	call	unmap_page
	PRINT	SMALL_PAGES + PAGE, 10, BAD_ADDRESS, "hypercall.print-unmapped"
	mov	byte [SMALL_PAGES + PAGE - 1], 10
	PRINT	SMALL_PAGES + PAGE - 1, 10, 1, "hypercall.print-up-to-unmapped"	; a call ends with its page

	mov	eax, HC_TIME
	call	hypercall
	mov	r8, rax
	call	now
	mov	r9, rax
	mov	eax, HC_TIME
	call	hypercall
	cmp	rax, r8
	CHECK_IF a, "hypercall.time-goes-on"
	mov	rbx, 60000000000
	cmp	rax, rbx
	CHECK_IF b, "hypercall.time-since-start"
	; the other vendor's instruction is undefined here
	call	is_amd
	test	eax, eax
	jnz	.amd
	EXPECT_FAULT 6, "hypercall.vmmcall-on-intel", vmmcall
	DONE
.amd:	EXPECT_FAULT 6, "hypercall.vmcall-on-amd", vmcall
	DONE
.text:	db	"said by a hypercall", 10
.length	equ $ - .text
