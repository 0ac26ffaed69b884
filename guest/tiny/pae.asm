; SPDX-License-Identifier: MIT
; PAE paging and the four entries that CR3 points to: bad ones are #GP, and nothing is loaded. Then long mode with a 16-bit
; TSS in TR: #GP on Intel's processors, and no harm on others.
%include "tiny.inc"
TINY_32

POINTERS	equ 0x40000
BAD_POINTERS	equ 0x40020
DIRECTORY	equ 0x41000
PML4_64		equ 0x42000
POINTERS_64	equ 0x43000
IDT32		equ 0x38000
TSS_16		equ 0x39000
SEL_TSS		equ 0x30
CR0_NE		equ 1 << 5
CR0_CD		equ 1 << 30
CR0_PG		equ 1 << 31
CR4_PAE		equ 1 << 5
CR4_PGE		equ 1 << 7

; EXPECT_GP name, instruction: #GP(0), with RIP on it
%macro EXPECT_GP 2+
	mov	dword [gp_count], 0
	mov	dword [resume], %%after
%%insn:	%2
%%after:
	CHECK_EQ [gp_count], 1, {%1, " count"}
	CHECK_EQ [gp_error], 0, {%1, " error"}
	CHECK_EQ [gp_eip], %%insn, {%1, " eip"}
%endmacro
gp_count:	dd 0
gp_error:	dd 0
gp_eip:		dd 0
resume:		dd 0

gp:	pop	dword [gp_error]
	inc	dword [gp_count]
	pop	dword [gp_eip]
	push	dword [resume]
	iretd

main:
	mov	eax, gp
	mov	[IDT32 + 13 * 8], ax
	mov	word [IDT32 + 13 * 8 + 2], CODE32
	mov	word [IDT32 + 13 * 8 + 4], 0x8e00
	shr	eax, 16
	mov	[IDT32 + 13 * 8 + 6], ax
	lidt	[.idt]
	mov	dword [POINTERS], DIRECTORY + 1
	mov	dword [BAD_POINTERS], DIRECTORY + 1
	mov	dword [BAD_POINTERS + 8], DIRECTORY + 3		; a PDPTE has no W
	mov	dword [DIRECTORY], 0x83
	mov	dword [DIRECTORY + 8], 0x200083
	call	switching_on
	call	while_on
	call	long_mode
	DONE
.idt:	dw	14 * 8 - 1
	dd	IDT32

switching_on:
	mov	eax, cr4
	or	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, BAD_POINTERS
	mov	cr3, eax			; paging is off: anything goes
	mov	ebx, cr0
	mov	ecx, ebx
	or	ecx, CR0_PG
	EXPECT_GP "pae.cr0-on", mov cr0, ecx
	mov	eax, cr0
	CHECK_EQ eax, ebx, "pae.cr0-kept"
	mov	dword [BAD_POINTERS + 8 + 4], 0x80000000	; nor XD; not present it may hold anything
	mov	dword [BAD_POINTERS + 8], 0xfffffffe
	mov	cr0, ecx
	mov	eax, cr0
	and	eax, CR0_PG
	CHECK_EQ eax, CR0_PG, "pae.absent-may-hold-anything"
	ret

while_on:
	mov	dword [BAD_POINTERS + 8], DIRECTORY + 1
	mov	ebx, cr4
	mov	ecx, ebx
	xor	ecx, CR4_PGE
	EXPECT_GP "pae.cr4-pge", mov cr4, ecx
	mov	eax, cr4
	CHECK_EQ eax, ebx, "pae.cr4-kept"
	mov	ebx, cr0
	mov	ecx, ebx
	or	ecx, CR0_CD
	EXPECT_GP "pae.cr0-cd", mov cr0, ecx
	mov	eax, cr0
	CHECK_EQ eax, ebx, "pae.cr0-cd-kept"
	xor	ebx, CR0_NE			; none of the bits that load them
	mov	cr0, ebx
	mov	eax, cr0
	CHECK_EQ eax, ebx, "pae.cr0-ne"
	mov	eax, POINTERS
	mov	cr3, eax
	mov	eax, cr4
	xor	eax, CR4_PGE
	mov	cr4, eax
	xor	eax, eax			; on AMD-V with nested paging the processor looks at them later
	cpuid
	cmp	ebx, 'Auth'
	je	.amd
	mov	eax, BAD_POINTERS
	EXPECT_GP "pae.cr3", mov cr3, eax
	mov	eax, cr3
	CHECK_EQ eax, POINTERS, "pae.cr3-kept"
.amd:	mov	eax, cr0
	and	eax, ~CR0_PG
	mov	cr0, eax
	ret

long_mode:
	mov	esi, gdt
	mov	edi, tss_gdt
	mov	ecx, 12
	rep	movsd
	lgdt	[tss_gdt_ptr]
	mov	ax, SEL_TSS
	ltr	ax
	mov	dword [PML4_64], POINTERS_64 + 7
	mov	dword [POINTERS_64], DIRECTORY + 7
	mov	eax, PML4_64
	mov	cr3, eax
	mov	ecx, 0xc0000080
	rdmsr
	or	eax, 0x100
	wrmsr
	xor	eax, eax
	cpuid
	mov	ebp, ebx
	mov	ebx, cr0
	mov	ecx, ebx
	or	ecx, CR0_PG
	mov	dword [gp_count], 0
	mov	dword [resume], .refused
	mov	cr0, ecx
.refused:
	xor	eax, eax			; in compatibility mode, or not: an exit
	cpuid
	mov	eax, cr0
	and	eax, ~CR0_PG
	mov	cr0, eax
	cmp	ebp, 'Auth'
	je	.amd
	CHECK_EQ [gp_count], 1, "pae.long-mode-with-16-bit-tss"
.amd:
	str	ax
	movzx	eax, ax
	CHECK_EQ eax, SEL_TSS, "pae.tr-kept"
	ret

align 8
tss_gdt:
	times 6 dq 0
	dw	43, TSS_16 & 0xffff
	db	TSS_16 >> 16, 0x81, 0, 0
tss_gdt_ptr:
	dw	$ - tss_gdt - 1
	dd	tss_gdt
