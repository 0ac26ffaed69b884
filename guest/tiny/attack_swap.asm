; SPDX-License-Identifier: MIT
; An instruction that is another one by the time it is looked at (CVE-2011-1780, CVE-2016-9377): rewritten in place,
; another page mapped over it, swapped by a second processor. What is emulated must be what stands there now, whole:
; an old decoding, a wrong length or a mixture of the two shows in EAX, in the register of the device, or as a wild RIP.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"

ROUNDS		equ 1000
SWAP_ROUNDS	equ 5000
SITE		equ 0xa000		; the code that changes
FLIPS		equ 0xb000		; how often the second processor changed it
TPR		equ LAPIC + 0x80	; the device
WINDOW		equ 0x40000000		; mapped to one page of code or the other
WINDOW_PD	equ PML4 + 0x3000
PAGE_A		equ 0x200000
PAGE_B		equ 0x400000
CODE_AT		equ 0x100

STORE		equ 0x00c30389		; mov [rbx], eax; ret
READ		equ 0x00c3038b		; mov eax, [rbx]; ret
READ_BYTE	equ 0xc303b60f		; movzx eax, byte [rbx]; ret
STORE_50_LOW	equ 0x005003c7		; mov dword [rbx], 0x50; ret
STORE_50_HIGH	equ 0x00c30000

main:
	call	lapic_on
	mov	rbx, TPR
	call	rewritten
	call	remapped
	call	swapped
	mov	dword [rbx], 0
	DONE

rewritten:
	mov	r14d, ROUNDS
	mov	r13d, SITE
.round:	mov	dword [r13], STORE
	mov	eax, 0x30
	call	r13
	mov	dword [r13], READ
	xor	eax, eax
	call	r13
	cmp	eax, 0x30
	jne	.bad
	mov	dword [r13], READ_BYTE
	mov	eax, -1
	call	r13
	cmp	eax, 0x30
	jne	.bad
	mov	dword [r13 + 4], STORE_50_HIGH
	mov	dword [r13], STORE_50_LOW
	call	r13
	mov	eax, [rbx]
	cmp	eax, 0x50
	jne	.bad
	dec	r14d
	jnz	.round
.bad:	CHECK_EQ r14, 0, "attack.swap-rewritten"
	ret

remapped:
	mov	dword [PAGE_A + CODE_AT], STORE
	mov	dword [PAGE_B + CODE_AT], READ
	mov	r14d, ROUNDS
	mov	r13d, WINDOW + CODE_AT
.round:	mov	qword [WINDOW_PD], PAGE_A + 0x87
	invlpg	[r13]
	mov	eax, r14d
	and	eax, 0xf0
	mov	r12d, eax
	call	r13
	mov	qword [WINDOW_PD], PAGE_B + 0x87
	invlpg	[r13]
	mov	eax, -1
	call	r13
	cmp	eax, r12d
	jne	.bad
	dec	r14d
	jnz	.round
.bad:	CHECK_EQ r14, 0, "attack.swap-remapped"
	ret

start_other:
	call	copy_trampoline
	mov	dword [FLIPS], 0
	mov	eax, LAPIC
	mov	dword [rax + 0x310], 1 << 24
	mov	dword [rax + 0x300], 0x4500	; INIT
	mov	dword [rax + 0x300], 0x4608	; SIPI
.wait:	in	al, 0x80		; an exit: Bochs' AMD processors keep the host's interrupts back while IF is clear
	cmp	dword [FLIPS], 0
	je	.wait
	ret

; The instruction stored or it read; either must have been done completely.
swapped:
	mov	r13d, SITE
	mov	dword [r13], STORE
	call	start_other
	mov	r14d, SWAP_ROUNDS
	mov	r12d, [rbx]		; what the device holds
.round:	mov	r15d, r14d
	and	r15d, 0xf0
	mov	eax, r15d
	call	r13
	mov	ecx, [rbx]
	cmp	ecx, eax		; either way both are the same afterwards,
	jne	.bad
	cmp	ecx, r12d		; the old value
	je	.next
	cmp	ecx, r15d		; or the new one
	jne	.bad
.next:	mov	r12d, ecx
	dec	r14d
	jnz	.round
.bad:	CHECK_EQ r14, 0, "attack.swap-by-another-processor"
	ret

TRAMPOLINE_BEGIN
	sti				; as above
.flip:	mov	word [SITE], STORE & 0xffff
	lock inc dword [FLIPS]
	mov	word [SITE], READ & 0xffff
	jmp	.flip
TRAMPOLINE_END
