; SPDX-License-Identifier: MIT
;
; Where another processor begins: ap.c copies this into a page below 1 MiB and names that page in a SIPI. From real
; mode it goes by way of protected mode to long mode, on a copy of our tables in which this page lies at its own
; address, takes the stack it was given and calls ap_main. The code does not know its address: CS tells.
; SDM vol. 3, 9.4 "Multiple-Processor (MP) Initialization", 10.8.5 "Initializing IA-32e Mode".

extern ap_main

CODE32		equ 0x08
DATA32		equ 0x10
CODE64		equ 0x18
CR0_PE		equ 1 << 0
CR0_WANTED	equ 0x80010033		; PG, WP, NE, ET, MP, PE; caches on, which INIT may have left off
MSR_EFER	equ 0xc0000080
EXT_INFO	equ 0x80000001

%define AT(label) (label - ap_start)	; in this page

section .rodata.ap_start progbits alloc noexec nowrite align=16
global ap_start
global ap_start_params
global ap_start_end

bits 16
ap_start:
	cli
	cld
	mov	ax, cs
	mov	ds, ax
	movzx	edi, ax
	shl	edi, 4			; the address of this page, from here on
	lea	eax, [edi + AT(gdt)]
	mov	[AT(gdtr) + 2], eax
	lea	eax, [edi + AT(protected_mode)]
	mov	[AT(far_protected)], eax
	lea	eax, [edi + AT(long_mode)]
	mov	[AT(far_long)], eax
	o32 lgdt [AT(gdtr)]
	mov	eax, cr0
	or	al, CR0_PE
	mov	cr0, eax
	jmp	far dword [AT(far_protected)]

bits 32
protected_mode:
	mov	ax, DATA32
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	eax, EXT_INFO		; an EFER bit that this processor lacks is #GP: without an IDT, a reset
	cpuid
	and	edx, [edi + AT(params.needs)]
	cmp	edx, [edi + AT(params.needs)]
	jne	.stop
	mov	eax, [edi + AT(params.cr4)]
	mov	cr4, eax
	mov	eax, [edi + AT(params.cr3)]
	mov	cr3, eax
	mov	ecx, MSR_EFER
	mov	eax, [edi + AT(params.efer)]
	xor	edx, edx
	wrmsr
	mov	eax, CR0_WANTED
	mov	cr0, eax
	jmp	far dword [edi + AT(far_long)]
.stop:	hlt
	jmp	.stop

bits 64
long_mode:
	mov	rsp, [rdi + AT(params.stack)]
	mov	rdi, [rdi + AT(params.cpu)]
	xor	ebp, ebp		; where backtraces end
	mov	rax, ap_main
	call	rax			; does not return

align 8
gdt:
	dq	0
	dq	0x00cf9b000000ffff	; code, 32 bits
	dq	0x00cf93000000ffff	; data
	dq	0x00af9b000000ffff	; code, 64 bits
gdtr:
	dw	$ - gdt - 1
	dd	0
far_protected:
	dd	0
	dw	CODE32
far_long:
	dd	0
	dw	CODE64

align 8
ap_start_params:			; struct start_params of ap.c
params:
.stack:	dq	0
.cpu:	dq	0
.cr3:	dd	0
.cr4:	dd	0
.efer:	dd	0
.needs:	dd	0
ap_start_end:
