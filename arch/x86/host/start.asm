; SPDX-License-Identifier: MIT
;
; The first instructions of hv.elf. boot/ jumps to hv_entry in long mode, interrupts off, RDI = physical address
; of struct handoff (boot/handoff.h). We take a stack of our own, have cpu_early make the direct map and GS
; usable, and call hv_main with the same address.
;
; The boot stack is the stack of the boot processor for ever; the page below it is unmapped by paging_init, so
; that an overflow is a double fault on a stack of its own (gdt.c) and not a silent overwrite.

bits 64

extern cpu_early
extern hv_main

STACK_SIZE	equ 32 << 10
PAGE		equ 4096
CR4_CET_BIT	equ 23

section .text.entry progbits alloc exec nowrite align=16
global hv_entry
hv_entry:
	cli
	cld
	; Shadow stacks the firmware may use must go before our first RET.
	mov	rax, cr4
	btr	rax, CR4_CET_BIT
	mov	cr4, rax
	mov	rsp, boot_stack_top
	xor	ebp, ebp		; where backtraces end
	mov	rbx, rdi		; survives the call
	call	cpu_early
	mov	rdi, rbx
	call	hv_main
.stop:	cli
	hlt
	jmp	.stop

section .bss nobits alloc noexec write align=4096
global boot_stack
global boot_stack_top
	resb	PAGE			; the page that is unmapped
boot_stack:
	resb	STACK_SIZE
boot_stack_top:
