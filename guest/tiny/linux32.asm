; SPDX-License-Identifier: MIT
; A bzImage without a 64-bit entry: what Linux' "32-bit BOOT PROTOCOL" promises at the first byte of its second part.
LOAD		equ 0x200000
SETUP		equ 2 * 512		; boot sector and one sector of setup, as setup_sects says
SYSTEM		equ 0x1000		; bytes of the second part, in the header as paragraphs
PORT_DEBUG	equ 0xe9
PORT_EXIT	equ 0xf4

bits 32
org LOAD - SETUP

	times 0x1f1 - ($ - $$) db 0
	db	1			; setup_sects
	dw	0
	dd	SYSTEM / 16
	times 0x1fe - ($ - $$) db 0
	dw	0xaa55
	db	0xeb, 0x268 - 0x202	; the jump over the header says where it ends
	db	"HdrS"
	dw	0x20c			; protocol
	times 0x211 - ($ - $$) db 0
	db	1			; loaded high
	times 0x214 - ($ - $$) db 0
	dd	0x100000		; code32_start
	times 0x22c - ($ - $$) db 0
	dd	0x7fffffff		; initrd_addr_max
	dd	0x1000			; alignment
	db	0, 0			; not relocatable
	dw	0			; xloadflags: no 64-bit entry
	dd	255			; cmdline_size
	times 0x258 - ($ - $$) db 0
	dq	LOAD			; pref_address
	dd	0x10000			; init_size
	times SETUP - ($ - $$) db 0

	jmp	main
%include "tiny32.inc"

main:	mov	[at_entry], ebx
	or	[at_entry], ebp
	or	[at_entry], edi
	mov	esp, 0x90000
	pushfd
	pop	dword [flags]
	mov	ebx, esi
	xor	eax, eax
	mov	ax, cs
	CHECK_EQ eax, 0x10, "linux32.cs"
	mov	ax, ds
	CHECK_EQ eax, 0x18, "linux32.ds"
	mov	ax, es
	CHECK_EQ eax, 0x18, "linux32.es"
	mov	ax, ss
	CHECK_EQ eax, 0x18, "linux32.ss"
	mov	eax, [at_entry]
	CHECK_EQ eax, 0, "linux32.ebx-ebp-edi"
	mov	eax, [flags]
	and	eax, 0x200
	CHECK_EQ eax, 0, "linux32.interrupts-off"
	mov	eax, cr0
	and	eax, 0x80000001
	CHECK_EQ eax, 1, "linux32.protected-mode"
	mov	eax, [ebx + 0x202]
	CHECK_EQ eax, 'HdrS', "linux32.zero-page"
	mov	eax, [ebx + 0x214]
	CHECK_EQ eax, LOAD, "linux32.code32-start"
	mov	esi, [ebx + 0x228]
	mov	eax, [esi]
	CHECK_EQ eax, 'alph', "linux32.command-line"
	movzx	ecx, byte [ebx + 0x1e8]
	lea	ebx, [ebx + 0x2d0]
	xor	eax, eax
.range:	cmp	dword [ebx + 16], 1	; RAM from 1 MiB on
	jne	.next
	cmp	dword [ebx], 0x100000
	jne	.next
	mov	eax, [ebx + 8]
.next:	add	ebx, 20
	loop	.range
	CHECK_EQ eax, 31 << 20, "linux32.memory-map"
	; the selectors are in the GDT too
	mov	eax, 0x18
	mov	ds, ax
	mov	ss, ax
	jmp	0x10:.far
.far:	mov	eax, [0x1f00000]
	CHECK_EQ eax, 0, "linux32.reloaded"
	DONE

align 4
at_entry:	dd 0
flags:		dd 0
checks_done:	dd 0
	times SETUP + SYSTEM - ($ - $$) db 0
