; SPDX-License-Identifier: MIT
; Debug registers without a breakpoint that strikes: what is written is read back, reserved bits, refusals, GD.
; Two VMs of this guest run at once, "a" and "b" on their command lines: neither finds the other's registers, or stops at
; its breakpoints, which are at other addresses.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

WATCHED_A	equ 0x200000
WATCHED_B	equ 0x200100
CR4_DE		equ 8
DR6_NONE	equ 0xffff0ff0
DR6_BD		equ 0x2000
DR6_BS		equ 0x4000
DR7_NONE	equ 0x400
DR7_GD		equ 0x2000
DR7_TWO		equ 0xd0040f		; DR0: instruction; DR1: 4 bytes, write
RFLAGS_TF	equ 0x100
RFLAGS_RF	equ 0x10000
ROUNDS		equ 3
PLACE_A		equ 1			; an instruction and four bytes of data: a's breakpoints
PLACE_B		equ 2			; those of b

own_place:	dq PLACE_A
own_code:	dq code_a
own_data:	dq WATCHED_A
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
	and	qword [rsp + 24], ~RFLAGS_TF
	or	qword [rsp + 24], RFLAGS_RF	; or a breakpoint of the other VM's on an instruction strikes for ever
	pop	rax
	iretq

%macro CHECK_DR 3			; number, 64-bit value or register, name
	push	rax
	mov	rax, dr%1
	CHECK_IMM64 rax, %2, %3
	pop	rax
%endmacro

%macro SET_DR 2				; number, value
	mov	rax, %2
	mov	dr%1, rax
%endmacro

main:
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	cmp	byte [rdx], 'b'
	jne	.is_a
	mov	qword [own_place], PLACE_B
	mov	qword [own_code], code_b
	mov	qword [own_data], WATCHED_B
.is_a:	SET_GATE 1, db_handler
	CHECK_DR 0, 0, "dr.reset-dr0"
	CHECK_DR 1, 0, "dr.reset-dr1"
	CHECK_DR 2, 0, "dr.reset-dr2"
	CHECK_DR 3, 0, "dr.reset-dr3"
	CHECK_DR 6, DR6_NONE, "dr.reset-dr6"
	CHECK_DR 7, DR7_NONE, "dr.reset-dr7"
	call	operands
	call	reserved
	call	aliases
	call	general_detect
	call	steps
	call	others
	DONE

operands:				; any register, RSP too; addresses need not be canonical
	mov	r12, 0x8123456789abcdef
	mov	dr0, r12
	mov	dr1, rsp
	mov	rbp, rsp
	mov	r15, dr0
	CHECK_EQ r15, r12, "dr.r12-to-r15"
	xor	esp, esp
	mov	rsp, dr1
	mov	r15, rsp
	CHECK_EQ r15, rbp, "dr.rsp"
	mov	rax, 0x1111
	mov	dr2, rax
	db	0x0f, 0x21, 0x17	; MOV RDI, DR2 with a MOD of 0, which does not matter
	CHECK_EQ rdi, 0x1111, "dr.mod-ignored"
	EXPECT_FAULT 6, "dr.dr8", {db 0x44, 0x0f, 0x21, 0xc0}
	ret

reserved:
	SET_DR	6, 0
	CHECK_DR 6, DR6_NONE, "dr.dr6-ones"
	SET_DR	6, 0xffffffff
	CHECK_DR 6, 0xffffefff, "dr.dr6-zero"
	SET_DR	7, 0
	CHECK_DR 7, DR7_NONE, "dr.dr7-one"
	SET_DR	7, 0xffffdf00		; all but what is enabled and GD
	CHECK_DR 7, 0xffff0700, "dr.dr7-zeros"
	mov	rax, 1 << 32
	EXPECT_FAULT 13, "dr.dr6-high", {mov dr6, rax}
	EXPECT_FAULT 13, "dr.dr7-high", {mov dr7, rax}
	CHECK_DR 7, 0xffff0700, "dr.dr7-kept"
	SET_DR	6, 0
	SET_DR	7, 0
	ret

aliases:
	mov	rax, DR6_BS
	db	0x0f, 0x23, 0xe0	; MOV DR4, RAX
	CHECK_DR 6, DR6_NONE | DR6_BS, "dr.dr4-write"
	mov	rax, 0x300
	db	0x0f, 0x23, 0xe8	; MOV DR5, RAX
	CHECK_DR 7, DR7_NONE | 0x300, "dr.dr5-write"
	db	0x0f, 0x21, 0xe0	; MOV RAX, DR4
	CHECK_IMM64 rax, DR6_NONE | DR6_BS, "dr.dr4-read"
	db	0x0f, 0x21, 0xe8	; MOV RAX, DR5
	CHECK_EQ rax, DR7_NONE | 0x300, "dr.dr5-read"
	mov	rbx, cr4
	or	rbx, CR4_DE
	mov	cr4, rbx
	EXPECT_FAULT 6, "dr.dr4-read-de", {db 0x0f, 0x21, 0xe0}
	EXPECT_FAULT 6, "dr.dr5-write-de", {db 0x0f, 0x23, 0xe8}
	xor	rbx, CR4_DE
	mov	cr4, rbx
	SET_DR	6, 0
	SET_DR	7, 0
	ret

general_detect:				; the handler may touch them: GD is clear there, and the MOV then works
	mov	qword [db_count], 0
	SET_DR	3, 0x3333
	SET_DR	7, DR7_GD
.here:	mov	rbx, dr3
	CHECK_EQ qword [db_count], 1, "dr.gd"
	mov	rax, [db_rip]
	CHECK_EQ rax, .here, "dr.gd-rip"
	mov	rax, [db_dr6]
	CHECK_IMM64 rax, DR6_NONE | DR6_BD, "dr.gd-bd"
	CHECK_DR 7, DR7_NONE, "dr.gd-cleared"
	CHECK_EQ rbx, 0x3333, "dr.gd-then-read"
	ret

steps:					; a trap behind MOV DR as behind others; BD stays as nobody cleared it
	mov	qword [db_count], 0
	pushfq
	or	qword [rsp], RFLAGS_TF
	popfq
	mov	rbx, dr3
.behind:
	nop
	CHECK_EQ qword [db_count], 1, "dr.step"
	mov	rax, [db_rip]
	CHECK_EQ rax, .behind, "dr.step-rip"
	mov	rax, [db_dr6]
	CHECK_IMM64 rax, DR6_NONE | DR6_BD | DR6_BS, "dr.step-sticky"
	SET_DR	6, 0
	ret

; Two phases by turns: go to both VMs' places without a breakpoint; then set breakpoints on our own place and go to
; the other's. A #DB comes from the other's DR7 in the first phase, and from its DR0 to DR3 in the second.
others:
	mov	qword [db_count], 0
	call	now
	mov	r12, rax		; a pattern of one's own
	mov	r13d, ROUNDS
.round:	mov	dr0, r12
	mov	dr1, r12
	mov	r14d, PLACE_A | PLACE_B
	call	tread
	mov	rax, [own_code]
	mov	dr0, rax
	mov	rax, [own_data]
	mov	dr1, rax
	mov	dr2, r12
	not	r12
	mov	dr3, r12
	not	r12
	mov	eax, DR7_TWO
	mov	dr7, rax
	call	exits
	mov	r14d, PLACE_A | PLACE_B
	sub	r14, [own_place]
	call	tread
	call	tread
	mov	rax, dr0
	CHECK_EQ rax, qword [own_code], "dr.kept-dr0"
	mov	rax, dr1
	CHECK_EQ rax, qword [own_data], "dr.kept-dr1"
	CHECK_DR 7, DR7_TWO, "dr.kept-dr7"
	mov	rax, dr2
	CHECK_EQ rax, r12, "dr.kept-dr2"
	mov	rax, dr3
	not	rax
	CHECK_EQ rax, r12, "dr.kept-dr3"
	SET_DR	7, 0
	dec	r13d
	jnz	.round
	CHECK_EQ qword [db_count], 0, "dr.nobody-strikes"
	CHECK_DR 6, DR6_NONE, "dr.kept-dr6"
	ret

exits:
	xor	eax, eax
	cpuid
	in	al, 0x80
	mov	rbx, NOT_A_DEVICE
	mov	eax, [rbx]
	ret

tread:					; to the places in r14, for 20 ms
	call	tsc_khz
	imul	rax, 20
	mov	rbx, rax
	call	now
	add	rbx, rax
.next:	test	r14d, PLACE_A
	jz	.not_a
	call	code_a
.not_a:	test	r14d, PLACE_B
	jz	.not_b
	call	code_b
.not_b:	call	now
	cmp	rax, rbx
	jb	.next
	ret

code_a:	nop
	mov	dword [WATCHED_A], eax
	ret
code_b:	nop
	mov	dword [WATCHED_B], eax
	ret
