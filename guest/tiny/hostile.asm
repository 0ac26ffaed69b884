; SPDX-License-Identifier: MIT
; What only an attacker or a broken kernel does, chosen by the command line; each attack runs in a VM of its own. How
; each must end is in tests/boot/test_tiny.py.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

ATTACK_STACK	equ 0x500000
TIMER_PERIODIC	equ 0x20000

main:
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	mov	rbx, attacks
.next:	mov	rsi, [rbx]
	test	rsi, rsi
	jz	.unknown
	mov	edi, edx
.compare:
	mov	al, [rsi]
	cmp	al, [rdi]
	jne	.other
	inc	rsi
	inc	rdi
	test	al, al
	jnz	.compare
	SAY	"at it"
	jmp	[rbx + 8]
.other:	add	rbx, 16
	jmp	.next
.unknown:
	SAY	"FAIL unknown attack"
	DONE

attacks:
	dq	name_triple, triple
	dq	name_hole, hole
	dq	name_screen, screen
	dq	name_tables, tables
	dq	name_sse, sse
	dq	name_push, push_mmio
	dq	name_event, event_on_device
	dq	name_db, db_loop
	dq	name_rep, rep_huge
	dq	name_hog, hog
	dq	name_exit_hog, exit_hog
	dq	name_halt, halt
	dq	name_reset, reset
	dq	name_own_timer, own_timer
	dq	name_storm, timer_storm
	dq	name_outs, outs_forever
	dq	name_big_reset, big_reset
	dq	0
name_triple:	db "triple-fault", 0
name_hole:	db "jump-into-hole", 0
name_screen:	db "text-screen", 0
name_tables:	db "tables-outside-ram", 0
name_sse:	db "sse-to-device", 0
name_push:	db "stack-on-device", 0
name_event:	db "event-on-device", 0
name_db:	db "db-loop", 0
name_rep:	db "rep-huge", 0
name_hog:	db "hog", 0
name_exit_hog:	db "exit-hog", 0
name_halt:	db "halt", 0
name_reset:	db "reset", 0
name_own_timer:	db "own-timer", 0
name_storm:	db "timer-storm", 0
name_outs:	db "rep-outs-cli", 0
name_big_reset:	db "big-reset", 0

triple:
	push	0
	push	0
	lidt	[rsp]
	int3

hole:
	mov	eax, NOT_A_DEVICE
	jmp	rax

; A kernel that prints to the text screen only, and crashes.
screen:
	mov	edi, 0xb8000 + 3 * 160 + 4 * 2
	mov	rsi, .text
.next:	lodsb
	test	al, al
	jz	.said
	mov	ah, 0x0f
	stosw
	jmp	.next
.said:	mov	eax, NOT_A_DEVICE
	jmp	rax
.text:	db "HALTED: no BIOS here", 1, 0

tables:
	mov	eax, NOT_A_DEVICE
	mov	cr3, rax
	mov	al, [0x1000]
	jmp	$

sse:
	mov	eax, 0xfec00000
	addps	xmm0, [rax]		; more than a move
	jmp	$

push_mmio:				; the processor itself writes there, while it delivers an exception
	mov	esp, NOT_A_DEVICE + 0x800
	int3
	jmp	$

; #GP with its frame on the I/O APIC: SS is pushed at the offset at which the instruction itself would have written.
event_on_device:
	mov	esp, 0xfec00010
	mov	rbx, 0x8000000000000008
	mov	[rbx], rax
	jmp	$

; A breakpoint on the very stack that #DB's frame goes to, always the same one: IST (CVE-2015-8104).
db_loop:
	SET_GATE 1, .handler
	mov	byte [IDT64 + 1 * 16 + 4], 1
	mov	rax, tss
	mov	qword [tss + 36], ATTACK_STACK
	mov	rbx, 0x0000890000000067
	mov	rcx, rax
	and	ecx, 0xffffff
	shl	rcx, 16
	or	rbx, rcx
	mov	[gdt_tss], rbx
	mov	qword [gdt_tss + 8], 0
	mov	rsi, gdt
	mov	rdi, gdt_copy
	mov	ecx, 6
	rep	movsq
	lgdt	[gdt_copy_ptr]
	mov	ax, 0x30
	ltr	ax
	mov	rax, ATTACK_STACK - 8		; where SS is pushed
	mov	dr0, rax
	mov	rax, 0xd0403			; 4 bytes, write, DR0
	mov	dr7, rax
	mov	dword [ATTACK_STACK - 8], 0	; the first one
	nop
	SAY	"PASS no loop here: this processor does not break on its own pushes"
	DONE
.handler:
	inc	qword [db_entries]
	iretq
db_entries: dq 0
align 8
tss:	times 104 db 0
gdt_copy: times 6 dq 0
gdt_tss: dq 0, 0
gdt_copy_ptr:
	dw	gdt_copy_ptr - gdt_copy - 1
	dq	gdt_copy

; A string of a million elements: interrupts must get in between, and find consistent registers.
rep_huge:
	call	lapic_on
	SET_GATE 0x41, .handler
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_TIMER], 0x41
	mov	dword [rax + LAPIC_COUNT], 20000
	mov	rsi, 0x200000
	mov	rcx, 1 << 20
	mov	r8, rcx
	mov	r9, rsi
	mov	dx, 0x80
	sti
.rep:	rep	outsb
	SAY	"FAIL the string ended"
.out:	cli
	mov	rax, rsi
	sub	rax, r9
	sub	r8, rcx
	CHECK_EQ rax, r8, "rep-huge.registers"
	test	rax, rax
	CHECK_IF nz, "rep-huge.progress"
	CHECK_EQ r10, .rep, "rep-huge.rip"
	DONE
.handler:
	cmp	rsi, r9
	je	.early			; it came before the first element
	mov	r10, [rsp]
	mov	qword [rsp], .out
	iretq
.early:	push	rax
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_EOI], 0
	mov	dword [rax + LAPIC_COUNT], 2000
	pop	rax
	iretq

; Interrupts off, and either only exits or no exit at all, for half a second: other VMs must still get their turns, which
; this VM sees as gaps in its time. In QEMU the clock is that of a computer with other work, which makes gaps as well:
; there tests/boot/test_tiny.py sees by who has ended before.
HOG_MS		equ 1000

exit_hog:
	inc	byte [hog_exits]
hog:
	cli
	call	tsc_khz
	imul	r12, rax, HOG_MS
	mov	r13, rax		; a gap of a millisecond
	call	now
	mov	r14, rax
	add	r12, rax
	xor	r15d, r15d
.next:	cmp	byte [hog_exits], 0
	je	.quiet
	in	al, 0x80
.quiet:	call	now
	mov	rbx, rax
	sub	rbx, r14
	mov	r14, rax
	cmp	rbx, r13
	jb	.no
	inc	r15d
.no:	cmp	rax, r12
	jb	.next
	test	r15d, r15d
	CHECK_IF nz, "hog.was-preempted"
	DONE
hog_exits:	db 0

halt:
	cli
	hlt
	SAY	"FAIL awake"
	DONE

; This VM's timer fires 0.2 ms after the end of its turn, that is in its neighbour's turn, which must not get shorter.
own_timer:
	call	lapic_on
	COUNT_GATE 0x41
	mov	ebp, LAPIC
	mov	dword [rbp + LAPIC_TIMER], 0x41
	call	tsc_khz
	shr	rax, 3			; a gap: somebody else ran
	mov	r13, rax
	call	lapic_khz
	imul	rax, rax, 102
	xor	edx, edx
	mov	ecx, 10
	div	rcx
	mov	r12, rax		; 10.2 ms
	call	now
	mov	r14, rax
	sti
.next:	call	now
	mov	rbx, rax
	sub	rbx, r14
	mov	r14, rax
	cmp	rbx, r13
	jb	.next
	mov	[rbp + LAPIC_COUNT], r12d
	jmp	.next

; A timer with the shortest period there is, and HLT in between: the guest hardly runs, but the hypervisor is busy.
timer_storm:
	call	lapic_on
	COUNT_GATE 0x42
	mov	ebp, LAPIC
	mov	dword [rbp + LAPIC_TIMER], TIMER_PERIODIC | 0x42
	mov	dword [rbp + LAPIC_COUNT], 1
	sti
.next:	hlt
	jmp	.next

; REP with a huge count and interrupts off: the most steps at each exit, and no interrupt that would end the turn.
outs_forever:
	cli
	mov	edx, 0x80
.again:	mov	esi, 0x200000
	mov	ecx, 1 << 24
	rep	outsb
	jmp	.again

; Touch much memory and reset, again and again: all of it must be zeroed and freed each time.
big_reset:
	mov	edi, 0x400000
.touch:	mov	[rdi], edi
	add	edi, 0x200000
	cmp	edi, 240 << 20
	jb	.touch

reset:
	mov	al, 0xfe
	out	0x64, al
	SAY	"FAIL still here"
	DONE
