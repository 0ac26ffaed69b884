; SPDX-License-Identifier: MIT
; What a Multiboot kernel is given: 32-bit protected mode, the information structure, a module, a memory map.
%include "tiny.inc"
TINY_32

FLAG_MEMORY	equ 1 << 0
FLAG_CMDLINE	equ 1 << 2
FLAG_MODULES	equ 1 << 3
FLAG_MAP	equ 1 << 6
MEMORY		equ 32 << 20

main:
	mov	eax, [boot_info + 4]
	CHECK_EQ eax, 0x2badb002, "multiboot.magic"
	mov	eax, cr0
	and	eax, 0x80000001
	CHECK_EQ eax, 1, "multiboot.protected-mode"
	pushfd
	pop	eax
	and	eax, 0x20200
	CHECK_EQ eax, 0, "multiboot.flags"
	mov	ebp, [boot_info]
	mov	eax, [ebp]
	mov	edx, eax
	and	eax, FLAG_MEMORY | FLAG_CMDLINE | FLAG_MODULES | FLAG_MAP
	CHECK_EQ eax, FLAG_MEMORY | FLAG_CMDLINE | FLAG_MODULES | FLAG_MAP, "multiboot.info-flags"
	mov	eax, [ebp + 8]
	CHECK_EQ eax, (MEMORY >> 10) - 1024, "multiboot.memory-upper"
	mov	esi, [ebp + 16]
	mov	edi, .cmdline
	mov	ecx, .cmdline_length
.find:	push	esi			; the words of the configuration end the line
	push	edi
	push	ecx
	repe	cmpsb
	pop	ecx
	pop	edi
	pop	esi
	je	.found
	inc	esi
	cmp	byte [esi], 0
	jne	.find
.found:	mov	al, [esi]
	movzx	eax, al
	CHECK_EQ eax, 'a', "multiboot.cmdline"
	mov	eax, [ebp + 20]
	CHECK_EQ eax, 1, "multiboot.module-count"
	mov	ebx, [ebp + 24]
	mov	eax, [ebx]
	and	eax, 0xfff
	CHECK_EQ eax, 0, "multiboot.module-aligned"
	mov	ecx, [ebx]
	mov	eax, [ecx]
	CHECK_EQ eax, 'MODU', "multiboot.module-start"
	mov	eax, [ebx + 4]
	sub	eax, [ebx]
	CHECK_EQ eax, 46, "multiboot.module-length"
	call	memory_map
	; segments reach everything, and memory is there
	mov	dword [0x1f00000], 0x55aa55aa
	mov	eax, [0x1f00000]
	CHECK_EQ eax, 0x55aa55aa, "multiboot.high-memory"
	mov	eax, [0xe0000000]
	CHECK_EQ eax, -1, "multiboot.mmio"
	xor	eax, eax
	cpuid
	mov	eax, 0x40000000
	cpuid
	CHECK_EQ ebx, 'Trap', "multiboot.cpuid"
	DONE
.cmdline: db	"alpha beta=2", 0
.cmdline_length equ $ - .cmdline

; Sorted, no overlaps, and RAM from 1 MiB to the end.
memory_map:
	mov	ebx, [ebp + 48]
	mov	ecx, ebx
	add	ecx, [ebp + 44]
	xor	edi, edi		; end of the entry before
	xor	edx, edx		; usable bytes above 1 MiB
.next:	cmp	ebx, ecx
	jae	.end
	mov	eax, [ebx + 4]
	cmp	eax, edi
	jb	.overlap
	mov	edi, eax
	add	edi, [ebx + 12]
	cmp	dword [ebx + 20], 1
	jne	.skip
	cmp	eax, 0x100000
	jb	.skip
	add	edx, [ebx + 12]
.skip:	add	ebx, [ebx]
	add	ebx, 4
	jmp	.next
.overlap:
	mov	edx, 0
.end:	CHECK_EQ edx, MEMORY - 0x100000, "multiboot.memory-map"
	CHECK_EQ ebx, ecx, "multiboot.memory-map-end"
	ret
