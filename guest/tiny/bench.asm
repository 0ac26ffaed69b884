; SPDX-License-Identifier: MIT
;
; What an exit costs: scripts/bench runs this and reads its lines (bench.inc). `control` has three instructions and
; must read 3.0: otherwise RDTSC itself exits and nothing here means anything.
%include "tiny.inc"

X2APIC_SELF_IPI	equ 0x83f
VECTOR		equ 0x50
KVM_FEATURES	equ 0x40000101
KVM_PV_EOI	equ 6
MSR_PV_EOI	equ 0x4b564d04
CPUID1_X2APIC	equ 21
CPUID1_DEADLINE	equ 24
WAKE_ROUNDS	equ 50
AHEAD		equ 120000		; above 1/20,000 s in any emulator: a host whose timer counts has no shorter time
PIC_MASK	equ 0x21
NO_DEVICE	equ 0xe0000000
IOAPIC_DATA	equ 0xfec00010

TOUCH_START	equ 32 << 20
TOUCH_LENGTH	equ 64 << 20

TINY_64
%include "check.inc"
%include "irq.inc"
%include "bench.inc"
%include "bench_wake.inc"

; Kernels live in the upper half of the address space, and so do we while we measure.
UPPER		equ 0xffffff8000000000

main:
	mov	rax, [PML4]
	mov	[PML4 + 511 * 8], rax
	mov	rax, UPPER + .upper
	jmp	rax
.upper:
	call	choose_hypercall
	mov	[main.vmcall + 2], al

	BEGIN
	nop
	END "control", 0

	BEGIN
	xor	eax, eax
	cpuid
	END "cpuid", 3

	BEGIN
	xor	eax, eax
.vmcall:
	vmcall
	END "hypercall", 3

	in	al, PIC_MASK
	BEGIN
	in	al, PIC_MASK
	END "in", 2

	BEGIN
	out	PIC_MASK, al
	END "out", 2

	mov	ecx, MSR_APIC_BASE
	BEGIN
	rdmsr
	END "rdmsr", 2

	call	bench_apic
	call	bench_mmio
	call	bench_touch
	call	bench_blk
	DONE

bench_apic:
	mov	eax, 1
	cpuid
	bt	ecx, CPUID1_X2APIC
	jnc	.none
	mov	[features], ecx
	call	x2apic_on
	mov	ecx, X2APIC_EOI
	BEGIN
	xor	eax, eax
	xor	edx, edx
	wrmsr
	END "x2apic-eoi", 4
	call	bench_interrupt

	bt	dword [features], CPUID1_DEADLINE
	jnc	.none
	call	deadline_on
	mov	ecx, TSC_DEADLINE
	BEGIN
	mov	edx, 0x10000000			; far away: none arrives while we measure
	wrmsr
	END "wrmsr-tsc-deadline", 3
	xor	eax, eax
	xor	edx, edx
	wrmsr
	WAKE	"timer-spinning", WAKE_ROUNDS, AHEAD, wait_spinning
	WAKE	"timer-halted", WAKE_ROUNDS, AHEAD, wait_halted
.none:	ret
features:	dd 0

; An interrupt to itself: sent, delivered behind STI, and ended, by EOI or in the word that the guest has named.
%macro INTERRUPT 2				; name, overhead
	BEGIN
	mov	ecx, X2APIC_SELF_IPI
	mov	eax, VECTOR
	xor	edx, edx
	wrmsr
	sti
	nop
	cli
	END %1, %2
%endmacro

bench_interrupt:
	SET_GATE VECTOR, .by_eoi
	INTERRUPT "interrupt", 18
	call	bench_eoi
	mov	eax, KVM_FEATURES
	cpuid
	bt	eax, KVM_PV_EOI
	jnc	.over
	SET_GATE VECTOR, .by_word
	mov	ecx, MSR_PV_EOI
	mov	eax, .word + 1
	xor	edx, edx
	wrmsr
	INTERRUPT "interrupt-pv-eoi", 11
	mov	ecx, MSR_PV_EOI
	xor	eax, eax
	wrmsr
.over:	ret

.by_word:
	btr	dword [.word], 0
	jnc	.by_eoi
	iretq
.by_eoi:
	push	rax
	push	rcx
	push	rdx
	X2APIC_END
	pop	rdx
	pop	rcx
	pop	rax
	iretq
	align 4
.word:	dd 0

; The EOI of one in service, alone: its handler sums up what the WRMSR takes. The counts are those of its sending, too.
bench_eoi:
	SET_GATE VECTOR, .handler
	call	counts_before
	mov	r15d, BATCHES
	mov	r14, -1
.batch:	mov	ebp, ROUNDS
	xor	r12d, r12d
.round:	mov	ecx, X2APIC_SELF_IPI
	mov	eax, VECTOR
	xor	edx, edx
	wrmsr
	sti
	nop
	cli
	dec	ebp
	jnz	.round
	cmp	r12, r14
	cmovb	r14, r12
	dec	r15d
	jnz	.batch
	call	counts_after
	mov	eax, 4				; RDTSC, MOV, XOR and XOR
	REPORT	"x2apic-eoi-serviced", ROUNDS, BATCHES, 1
	ret

.handler:
	mov	ecx, X2APIC_EOI
	rdtsc
	mov	ebx, eax
	xor	eax, eax
	xor	edx, edx
	wrmsr
	rdtsc
	sub	eax, ebx
	add	r12, rax
	iretq

bench_mmio:
	mov	ebx, NO_DEVICE
	mov	eax, [rbx]			; once before: the decoder remembers, as in a driver's loop
	BEGIN
	mov	eax, [rbx]
	END "mmio-read-nobody", 2

	mov	ebx, IOAPIC_DATA
	BEGIN
	mov	eax, [rbx]
	END "mmio-read", 2
	ret

; One load in each 4 KiB page: a guest cannot know in what pieces memory comes. Once only, by its nature.
bench_touch:
	call	counts_before
	mov	ebx, TOUCH_START
	mov	ebp, TOUCH_LENGTH / PAGE
	mov	r14, -1
	call	batch_begin
.page:	mov	eax, [rbx]
	add	rbx, PAGE
	dec	ebp
	jnz	.page
	call	batch_end
	call	counts_after
	mov	rax, 4 * TOUCH_LENGTH / PAGE
	REPORT	"first-touch", 1, 1, 1
	ret

%include "bench_blk.inc"
