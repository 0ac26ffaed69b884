; SPDX-License-Identifier: MIT
; Three processors, and fewer real ones. The first changes the page behind an address that the others read all the time. One that
; has no processor now it asks, in KVM's steal time, to forget its translations before it goes on, and does not
; wait for it; one that runs it tells to do so. Neither may see the old page afterwards.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "smp.inc"

READERS		equ 2			; processors 1 and 2
ROUNDS		equ 100
VIEW		equ 0x600000		; what they read: the first page of a large one, in small ones
VIEW_TABLE	equ 0x19000
PAGES		equ 0x800000		; one of these two; the first word of each is its number
STEAL		equ 0x300000		; struct kvm_steal_time of each, 64 bytes
PREEMPTED	equ 16
IS_PREEMPTED	equ 1
DO_FLUSH	equ 2
MSR_STEAL_TIME	equ 0x4b564d03
CELLS		equ 0x301000		; what each says, 64 bytes:
SEEN		equ 0			; the number of the page that it saw last
LOOKS		equ 8
TOLD		equ 16			; to forget, by the first, which waits
OWN		equ 24			; all that it ever found in its own PREEMPTED
STACKS		equ 0x310000

main:
	mov	eax, 0x40000101
	cpuid
	bt	eax, 9
	CHECK_IF c, "flush.offered"
	mov	qword [PAGES + 0x1000], 1
	mov	qword [VIEW_TABLE], PAGES + 7
	mov	qword [PML4 + 0x2000 + VIEW / 0x200000 * 8], VIEW_TABLE + 7
	mov	rax, cr3
	mov	cr3, rax
	call	copy_trampoline
	call	x2apic_on
	xor	edx, edx
	mov	eax, 0xc4500		; INIT, to all others
	call	send
	mov	eax, 0xc4608		; SIPI
	call	send
	WAIT_FOR arrived, READERS, "flush.readers"

	xor	r14, r14		; the page
	xor	r12, r12		; how often it asked
	xor	r13, r13		; how often an old page was seen
	mov	r15d, ROUNDS
.round:	xor	r14d, 1
	mov	rax, r14
	shl	rax, 12
	add	rax, PAGES + 7
	mov	[VIEW_TABLE], rax
	mov	ebx, READERS
.ask:	call	forget
	dec	ebx
	jnz	.ask
	mov	ebx, READERS
.look:	call	look
	dec	ebx
	jnz	.look
	dec	r15d
	jnz	.round
	CHECK_EQ r13, 0, "flush.no-old-page"
	CHECK_RANGE r12, 1, ROUNDS * READERS, "flush.asked"
	mov	al, [CELLS + 1 * 64 + OWN]
	or	al, [CELLS + 2 * 64 + OWN]
	movzx	eax, al
	CHECK_EQ rax, 0, "flush.runs"
	DONE

forget:					; ebx: the reader
	mov	edi, ebx
	shl	edi, 6
	mov	al, IS_PREEMPTED
	mov	cl, IS_PREEMPTED | DO_FLUSH
	lock cmpxchg [rdi + STEAL + PREEMPTED], cl
	jne	.tell
	inc	r12
	ret
.tell:	mov	dword [rdi + CELLS + TOLD], 1
.wait:	pause
	cmp	dword [rdi + CELLS + TOLD], 0
	jne	.wait
	ret

look:					; ebx: the reader; it begins and ends at least one more look
	mov	edi, ebx
	shl	edi, 6
	mov	rax, [rdi + CELLS + LOOKS]
	add	rax, 2
.wait:	pause
	cmp	[rdi + CELLS + LOOKS], rax
	jb	.wait
	cmp	[rdi + CELLS + SEEN], r14
	je	.done
	inc	r13
.done:	ret

arrived:	dd 0

TRAMPOLINE_BEGIN
	JUMP_TO_64 reader
TRAMPOLINE_END

reader:
	mov	ax, DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	lidt	[idt_ptr]
	mov	eax, 1
	cpuid
	shr	ebx, 24
	mov	edi, ebx
	shl	edi, 6
	lea	rsp, [rdi + STACKS]
	mov	ecx, MSR_STEAL_TIME
	lea	eax, [rdi + STEAL + 1]
	xor	edx, edx
	wrmsr
	lock inc dword [arrived]
.next:	pause
	cmp	dword [rdi + CELLS + TOLD], 0
	je	.look
	invlpg	[VIEW]
	mov	dword [rdi + CELLS + TOLD], 0
.look:	mov	al, [rdi + STEAL + PREEMPTED]
	or	[rdi + CELLS + OWN], al
	mov	rax, [VIEW]
	mov	[rdi + CELLS + SEEN], rax
	inc	qword [rdi + CELLS + LOOKS]
	jmp	.next
