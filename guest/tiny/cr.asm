; SPDX-License-Identifier: MIT
; Control registers: every register as operand, refusals, and the way through all paging modes and back.
%include "tiny.inc"
TINY_64
%include "check.inc"

CR0_MP		equ 1 << 1
CR0_TS		equ 1 << 3
CR0_NE		equ 1 << 5
CR0_NW		equ 1 << 29
CR0_CD		equ 1 << 30
CR0_PG		equ 1 << 31
CR4_PSE		equ 1 << 4
CR4_PAE		equ 1 << 5
CR4_LA57	equ 1 << 12
CR4_VMXE	equ 1 << 13
CR4_PCIDE	equ 1 << 17
PDPT32		equ 0x30000		; tables for the excursion
PD32		equ 0x31000
MARK_A		equ 0x800000		; two pages that the excursion maps to one address
MARK_B		equ 0xc00000
WINDOW		equ 0x40000000

main:
	call	operands
	call	task_switched
	call	refused
	call	cr8_rules
	call	cache_bits
	call	modes
	DONE

; Through one register: NE off, then on again, as an emulated CR0 write; CR3, CR4, CR8 there and back.
%macro THROUGH 1
	mov	%1, r12			; CR0 without NE
	mov	cr0, %1
	mov	%1, 0
	mov	%1, cr0
	mov	[seen], %1
	mov	%1, r13
	mov	cr0, %1
	mov	%1, cr0
	mov	[seen + 8], %1
	mov	%1, cr3
	mov	cr3, %1
	mov	[seen + 16], %1
	mov	%1, cr4
	mov	cr4, %1
	mov	[seen + 24], %1
	mov	%1, 5
	mov	cr8, %1
	mov	%1, -1
	mov	%1, cr8
	mov	[seen + 32], %1
	mov	%1, 0
	mov	cr8, %1
%endmacro

%macro OPERAND 2			; register, name
%ifidn %1,rsp
	mov	r14, rsp
%endif
	THROUGH	%1
%ifidn %1,rsp
	mov	rsp, r14
%endif
	CHECK_EQ qword [seen], qword [want], %2
	CHECK_EQ qword [seen + 8], qword [want + 8], %2
	CHECK_EQ qword [seen + 16], PML4, %2
	CHECK_EQ qword [seen + 24], qword [want + 24], %2
	CHECK_EQ qword [seen + 32], 5, %2
%endmacro

operands:
	mov	rax, cr0
	or	rax, CR0_NE
	mov	cr0, rax
	mov	r13, cr0
	mov	r12, r13
	and	r12, ~CR0_NE
	mov	[want], r12
	mov	[want + 8], r13
	mov	rax, cr4
	mov	[want + 24], rax
	OPERAND	rax, "cr.operand-rax"
	OPERAND	rcx, "cr.operand-rcx"
	OPERAND	rdx, "cr.operand-rdx"
	OPERAND	rbx, "cr.operand-rbx"
	OPERAND	rsp, "cr.operand-rsp"
	OPERAND	rbp, "cr.operand-rbp"
	OPERAND	rsi, "cr.operand-rsi"
	OPERAND	rdi, "cr.operand-rdi"
	OPERAND	r8, "cr.operand-r8"
	OPERAND	r9, "cr.operand-r9"
	OPERAND	r10, "cr.operand-r10"
	OPERAND	r11, "cr.operand-r11"
	OPERAND	r14, "cr.operand-r14"
	OPERAND	r15, "cr.operand-r15"
	mov	rax, 0x1234567890
	mov	cr2, rax
	xor	eax, eax
	cpuid
	mov	rbx, cr2
	CHECK_IMM64 rbx, 0x1234567890, "cr.cr2"
	ret
seen:	times 5 dq 0
want:	times 5 dq 0

task_switched:
	mov	rax, cr0
	or	rax, CR0_TS
	mov	cr0, rax
	EXPECT_FAULT 7, "cr.ts-nm", fld1
	EXPECT_FAULT 7, "cr.ts-nm-sse", {movaps xmm0, xmm1}
	clts
	mov	rax, cr0
	bt	rax, 3
	CHECK_IF nc, "cr.clts"
	fld1
	fstp	st0
	CHECK_EQ 1, 1, "cr.fpu-again"
	mov	ax, 0xb			; PE, MP, TS
	lmsw	ax
	mov	rax, cr0
	and	eax, 0xb
	CHECK_EQ rax, 0xb, "cr.lmsw-sets"
	mov	word [lmsw_source], 2
	lmsw	[lmsw_source]
	mov	rax, cr0
	and	eax, 0xf
	CHECK_EQ rax, 3, "cr.lmsw-memory-keeps-pe"
	xor	eax, eax
	lmsw	ax
	mov	rax, cr0
	and	eax, 0xf
	CHECK_EQ rax, 1, "cr.lmsw-cannot-clear-pe"
	smsw	eax
	and	eax, 0xf
	CHECK_EQ rax, 1, "cr.smsw"
	mov	rax, cr0
	or	rax, CR0_MP
	mov	cr0, rax
	ret
lmsw_source: dw 0

%macro REFUSES 3			; register, new value in rax, name
	mov	rbx, %1
	EXPECT_FAULT 13, %3, {mov %1, %2}
	mov	rcx, %1
	CHECK_EQ rcx, rbx, %3
%endmacro

refused:
	mov	rax, cr0
	and	rax, ~1			; PG without PE
	REFUSES cr0, rax, "cr.pg-without-pe"
	mov	rax, cr0
	or	rax, CR0_NW
	REFUSES cr0, rax, "cr.nw-without-cd"
	mov	rax, cr0
	btr	rax, 31			; in 64-bit code
	REFUSES cr0, rax, "cr.pg-off-in-64-bit"
	mov	rax, cr4
	or	rax, CR4_VMXE
	REFUSES cr4, rax, "cr.vmxe"
	mov	rax, cr4
	bts	rax, 14
	REFUSES cr4, rax, "cr.smxe"
	mov	rax, cr4
	bts	rax, 15
	REFUSES cr4, rax, "cr.cr4-reserved-15"
	mov	rax, cr4
	bts	rax, 31
	REFUSES cr4, rax, "cr.cr4-reserved-31"
	mov	rax, cr4
	bts	rax, 40
	REFUSES cr4, rax, "cr.cr4-wide"
	mov	rax, cr4
	and	rax, ~CR4_PAE
	REFUSES cr4, rax, "cr.pae-off-in-long-mode"
	mov	rax, cr4
	or	rax, CR4_LA57
	REFUSES cr4, rax, "cr.la57"
	mov	rax, cr3
	bts	rax, 60			; above the widest physical address
	REFUSES cr3, rax, "cr.cr3-reserved"
	mov	rax, PML4 + 0x18	; PCIDE needs CR3[11:0] = 0
	mov	cr3, rax
	mov	rax, cr4
	or	rax, CR4_PCIDE
	REFUSES cr4, rax, "cr.pcide-with-cr3-bits"
	mov	rax, PML4
	mov	cr3, rax
	EXPECT_FAULT 6, "cr.cr1", {db 0x0f, 0x20, 0xc8}
	ret

cr8_rules:
	mov	eax, 16
	EXPECT_FAULT 13, "cr.cr8-reserved", {mov cr8, rax}
	mov	rax, -1
	EXPECT_FAULT 13, "cr.cr8-wide", {mov cr8, rax}
	mov	eax, 9
	mov	cr8, rax
	mov	ebx, 0xfee00000
	mov	eax, [rbx + 0x80]
	CHECK_EQ rax, 0x90, "cr.cr8-is-tpr"
	mov	dword [rbx + 0x80], 0x3f
	mov	rax, cr8
	CHECK_EQ rax, 3, "cr.tpr-is-cr8"
	xor	eax, eax
	mov	cr8, rax
	ret

; CD and NW can be set and read back; memory works the same.
cache_bits:
	mov	rax, cr0
	mov	rbx, rax
	or	eax, CR0_CD
	mov	cr0, rax
	wbinvd
	mov	rcx, cr0
	CHECK_EQ rcx, rax, "cr.cd"
	or	eax, CR0_NW
	mov	cr0, rax
	mov	rcx, cr0
	CHECK_EQ rcx, rax, "cr.cd-nw"
	mov	cr0, rbx
	mov	rcx, cr0
	CHECK_EQ rcx, rbx, "cr.cd-off"
	ret

; ---- 64-bit, no paging, 32-bit paging, PAE paging, no paging, 64-bit -------------------------------------

modes:
	mov	dword [MARK_A], 'aaaa'
	mov	dword [MARK_B], 'bbbb'
	mov	[saved_rsp], rsp
	mov	rax, cr0
	mov	[saved_cr0], rax
	mov	rax, cr4
	mov	[saved_cr4], rax
	jmp	dword far [to_32]
to_32:	dd	in_32
	dw	CODE32
saved_rsp: dq 0
saved_cr0: dq 0
saved_cr4: dq 0
facts:	times 8 dd 0

bits 32
in_32:
	mov	eax, cr0		; compatibility mode: leave paging
	and	eax, ~CR0_PG
	mov	cr0, eax
	mov	ecx, MSR_EFER
	rdmsr
	mov	[facts], eax		; LMA is off, LME still on
	and	eax, ~0x100
	wrmsr
	; 32-bit paging with 4 MiB pages: 0-16 MiB as they are, WINDOW to MARK_B
	mov	eax, cr4
	and	eax, ~CR4_PAE
	or	eax, CR4_PSE
	mov	cr4, eax
	mov	edi, PD32
	xor	eax, eax
	mov	ecx, 1024
	rep	stosd
	mov	dword [PD32], 0x83
	mov	dword [PD32 + 4], 0x400083
	mov	dword [PD32 + 8], 0x800083
	mov	dword [PD32 + 12], 0xc00083
	mov	dword [PD32 + (WINDOW >> 20)], MARK_B + 0x83
	mov	eax, PD32
	mov	cr3, eax
	mov	eax, cr0
	or	eax, CR0_PG
	mov	cr0, eax
	mov	eax, [WINDOW]
	mov	[facts + 4], eax
	mov	eax, cr3
	mov	[facts + 8], eax
	; off again, and PAE: WINDOW to MARK_A
	mov	eax, cr0
	and	eax, ~CR0_PG
	mov	cr0, eax
	mov	eax, cr4
	or	eax, CR4_PAE
	mov	cr4, eax
	mov	edi, PDPT32
	xor	eax, eax
	mov	ecx, 2048
	rep	stosd
	mov	dword [PDPT32], PD32 + 1
	mov	dword [PDPT32 + 8], PD32 + 0x1000 + 1
	mov	dword [PD32], 0x83
	mov	dword [PD32 + 8], 0x200083
	mov	dword [PD32 + 32], 0x800083
	mov	dword [PD32 + 48], 0xc00083
	mov	edi, PD32 + 0x1000
	xor	eax, eax
	mov	ecx, 1024
	rep	stosd
	mov	dword [PD32 + 0x1000], MARK_A + 0x83
	mov	eax, PDPT32
	mov	cr3, eax
	mov	eax, cr0
	or	eax, CR0_PG
	mov	cr0, eax
	mov	eax, [WINDOW]
	mov	[facts + 12], eax
	; another directory in the same pointers: a CR3 load reads the four pointers again
	mov	dword [PD32 + 0x1000], MARK_B + 0x83
	mov	eax, cr3
	mov	cr3, eax
	mov	eax, [WINDOW]
	mov	[facts + 16], eax
	; an exit in PAE mode, with a device access through these tables
	mov	dword [PDPT32 + 24], PD32 + 0x1000 + 1
	mov	dword [PD32 + 0x1000 + 0x800], 0xe0000083	; c0000000 + 512 MiB
	mov	eax, cr3
	mov	cr3, eax
	mov	eax, [0xe0000000]
	mov	[facts + 20], eax
	; back
	mov	eax, cr0
	and	eax, ~CR0_PG
	mov	cr0, eax
	mov	eax, [saved_cr4]
	mov	cr4, eax
	mov	eax, PML4
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, 0x100
	wrmsr
	mov	eax, [saved_cr0]
	mov	cr0, eax
	jmp	CODE64:.back
bits 64
.back:	mov	rsp, [saved_rsp]
	mov	eax, [facts]
	and	eax, 0x500
	CHECK_EQ rax, 0x100, "cr.lma-off"
	mov	eax, [facts + 4]
	CHECK_EQ rax, 'bbbb', "cr.paging-32-bit"
	mov	eax, [facts + 8]
	CHECK_EQ rax, PD32, "cr.cr3-32-bit"
	mov	eax, [facts + 12]
	CHECK_EQ rax, 'aaaa', "cr.paging-pae"
	mov	eax, [facts + 16]
	CHECK_EQ rax, 'bbbb', "cr.paging-pae-reload"
	mov	eax, [facts + 20]
	inc	eax
	CHECK_EQ rax, 0, "cr.mmio-in-pae"
	READ_MSR MSR_EFER
	CHECK_EQ rax, 0xd01, "cr.lma-on"
	ret
