; SPDX-License-Identifier: MIT
; One misdeed, chosen by the command line: NAME BEGIN LENGTH. All processors of the VM do it, from BEGIN ms after the start
; of the VM on for LENGTH ms, if it lets them live so long. tests/boot/test_matrix.py has the list, how each ends, and what the
; neighbours must not notice of it.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "tell.inc"
%include "irq.inc"
%include "smp.inc"
%include "virtio.inc"

CELLS		equ 0x1c0000		; a stack for each processor, and below it what else is its own
CELL_SIZE	equ 0x4000
CELLS_MAX	equ 8
XAPIC_VECTOR	equ 0x41
X2APIC_VECTOR	equ 0x42
FLAGS_IF	equ 0x202
MULTIPLIER	equ 6364136223846793005
ICR_SELF	equ 0x40000
ICR_ALL		equ 0x80000

; In a misdeed: rbp number of the processor, r12 when it ends, r13 the last random number, r14 its stack at the first
; instruction, r15 where it goes on after an exception.

; TRY instruction: which may raise an exception
%macro TRY 1+
	mov	r15d, %%after
	%1
%%after:
%endmacro

; AGAIN label: if there is time left
%macro AGAIN 1
	inc	qword [rounds + rbp * 8]
	call	now
	cmp	rax, r12
	jb	%1
	ret
%endmacro

%macro MISDEED 2-3 rounds		; name, what each processor does, a count of what must have come of it
	db	%1, 0
	dq	%2, %3
%endmacro

main:
	call	choose
	call	set_gates
	call	tsc_khz
	mov	r8, rax
	call	read_number
	mov	rbx, rax
	cmp	dword [misdeed], reboot_loop
	jne	.first
	call	reboots
	test	eax, eax
	jz	.first
	xor	ebx, ebx		; it began before the reboot
.first:	imul	rbx, r8
	call	read_number
	imul	rax, r8
	mov	[ends], rax
	test	rbx, rbx
	jz	.now
	SAY	"waits"			; or the log would say where each of them is 20 s after its start, in others' time
.now:	call	lapic_on
	call	sleep_until
	call	now
	add	[ends], rax
	SAY	"at it"
	call	start_others
	xor	ebp, ebp
	mov	rsp, CELLS + CELL_SIZE
	jmp	begin

over:	mov	edi, LINE
	mov	esi, .over
	mov	ecx, .over_end - .over
	rep	movsb
	xor	ebx, ebx
.next:	mov	rax, [rounds + rbx * 8]
	call	put_number
	inc	ebx
	cmp	ebx, [processors]
	jb	.next
	mov	byte [rdi - 1], 10
	mov	rbx, [proof]
	cmp	dword [rbx], 0
	jne	.tell
	mov	esi, .nothing
	mov	ecx, .nothing_end - .nothing
	rep	movsb
.tell:	pause				; a flood may have left no room
	call	print_line
	jc	.tell
	DONE
.over:	db	10, "over", 10, "rounds "	; behind what may have been cut short
.over_end:
.nothing: db	"FAIL nothing came of it", 10
.nothing_end:

choose:					; esi: behind the name
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	mov	rbx, misdeeds
.next:	cmp	byte [rbx], 0
	je	.unknown
	mov	esi, edx
.compare:
	mov	al, [rbx]
	inc	rbx
	test	al, al
	jz	.found
	cmp	al, [rsi]
	lea	rsi, [rsi + 1]
	je	.compare
.skip:	inc	rbx			; to the end of this name
	cmp	byte [rbx - 1], 0
	jne	.skip
.other:	add	rbx, 16
	jmp	.next
.found:	cmp	byte [rsi], ' '
	jne	.other
	inc	rsi
	mov	rax, [rbx]
	mov	[misdeed], rax
	mov	rax, [rbx + 8]
	mov	[proof], rax
	ret
.unknown:
	SAY	"FAIL unknown misdeed"
	DONE

misdeed: dq 0
proof:	dq 0
ends:	dq 0
rounds:	times CELLS_MAX dq 0
faults:	dd 0				; exceptions
nmis:	dd 0
arrived: dd 0
may_begin: dd 0
processors: dd 0

; Exceptions: the processor goes on at r15. Interrupts: counted, and forgotten.
set_gates:
	push	rcx
	push	rdi
	mov	rax, recover
	mov	rdi, IDT64
	mov	ecx, 32
.next:	call	gate_write
	add	rdi, 16
	loop	.next
	SET_GATE 2, nmi_handler
	COUNT_GATE XAPIC_VECTOR
	COUNT_X2APIC_GATE X2APIC_VECTOR
	pop	rdi
	pop	rcx
	ret

recover:
	lock inc dword [faults]
	mov	rsp, r14
	push	FLAGS_IF
	popfq
	jmp	r15

nmi_handler:
	lock inc dword [nmis]
	iretq

unexpected:
	SAY	"FAIL exception"
	DONE

sleep_until:				; rbx: TSC
	call	lapic_khz
	mov	rcx, rax
	mov	edi, LAPIC
	mov	dword [rdi + LAPIC_TIMER], XAPIC_VECTOR
.look:	call	now
	mov	rdx, rbx
	sub	rdx, rax
	jbe	.done
	mov	rax, rdx
	mul	rcx
	div	r8
	inc	eax
	mov	[rdi + LAPIC_COUNT], eax
	sti
	hlt
	cli
	jmp	.look
.done:	mov	dword [rdi + LAPIC_TIMER], 0x10000
	mov	dword [irq_counts + XAPIC_VECTOR * 4], 0
	ret

start_others:
	call	copy_trampoline
	mov	eax, 1
	cpuid
	shr	ebx, 16
	movzx	ebx, bl
	cmp	ebx, 1			; one alone may say 0
	adc	ebx, 0
	mov	[processors], ebx
	dec	ebx
	jz	.there
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_ICR], ICR_OTHERS | ICR_INIT
	mov	dword [rax + LAPIC_ICR], ICR_OTHERS | ICR_SIPI
	mov	ecx, ebx
	mov	rbx, arrived
	call	wait_for
	cmp	[rbx], ecx
	jne	.missing
.there:	mov	dword [may_begin], 1
	ret
.missing:
	SAY	"FAIL not all processors have started"
	DONE

TRAMPOLINE_BEGIN
	JUMP_TO_64 other
TRAMPOLINE_END

other:
	mov	ax, DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	lidt	[idt_ptr]
	mov	eax, 1
	cpuid
	shr	ebx, 24
	mov	ebp, ebx
	imul	esp, ebx, CELL_SIZE
	add	rsp, CELLS + CELL_SIZE
	call	lapic_on
	lock inc dword [arrived]
.wait:	pause
	cmp	dword [may_begin], 0
	je	.wait

begin:
	mov	r12, [ends]
	lea	r13, [rbp + 1]
	lea	r14, [rsp - 8]
	mov	r15d, unexpected
	sti
	call	[misdeed]
	test	ebp, ebp
	jz	over
.sleep:	hlt
	jmp	.sleep

random:					; rax
	mov	rax, MULTIPLIER
	imul	r13, rax
	inc	r13
	mov	rax, r13
	rol	rax, 32
	ret

%include "misdeed_cpu.inc"
%include "misdeed_apic.inc"
%include "misdeed_x2apic.inc"
%include "misdeed_device.inc"
%include "misdeed_rivals.inc"

misdeeds:
	MISDEED "compute", compute	; harmless
	MISDEED "sleep", sleep
	MISDEED "triple-fault", triple_fault
	MISDEED "ac-loop", ac_loop
	MISDEED "db-loop", db_loop
	MISDEED "halt", halt
	MISDEED "invalid-state", invalid_state, faults
	MISDEED "page-tables", page_tables, faults
	MISDEED "wild-mmio", wild_mmio
	MISDEED "bad-registers", bad_registers, faults
	MISDEED "init-storm", init_storm
	MISDEED "nmi-storm", nmi_storm, nmis
	MISDEED "ipi-storm", ipi_storm, irq_counts + XAPIC_VECTOR * 4
	MISDEED "rings", rings, served
	MISDEED "device-reset", reset_in_request, cut_short
	MISDEED "notify-flood", notify_flood
	MISDEED "timer-storm", timer_storm
	MISDEED "pit-deaf", pit_deaf, deaf_edges
	MISDEED "pit-sleeper", pit_sleeper, deaf_edges
	MISDEED "exit-storm", exit_storm
	MISDEED "endless-loop", endless_loop
	MISDEED "pause-storm", pause_storm
	MISDEED "memory-hog", memory_hog
	MISDEED "console-flood", console_flood
	MISDEED "virtio-flood", virtio_flood, USED
	MISDEED "reboot-loop", reboot_loop
	MISDEED "past-deadline", past_deadline, irq_counts + XAPIC_VECTOR * 4
	MISDEED "apic-modes", apic_modes, faults
	MISDEED "self-ipi", self_ipi, irq_counts + X2APIC_VECTOR * 4
	MISDEED "x2apic-nmi", x2apic_nmi, nmis
	MISDEED "x2apic-init", x2apic_init, x2apic_taken
	MISDEED "rivals", rivals, faults
	db	0
