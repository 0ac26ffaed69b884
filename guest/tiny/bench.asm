; SPDX-License-Identifier: MIT
;
; What an exit costs: scripts/bench runs this and reads the lines
;
;	BENCH name rounds batches units overhead best count...
;
; all numbers in hexadecimal. An operation runs in batches of `rounds`; `best` is the ticks of the quickest batch.
; `overhead` is the instructions of one round that are not the operation, `units` the operations in a round, so
; that one costs (best / rounds - overhead) / units. The counts are those of hypercall HC_COUNTS, all batches
; together, with the reading of them: the empty round `control` says how much that is. `control` has three
; instructions and must read 3.0: otherwise RDTSC itself exits and nothing here means anything.
%include "tiny.inc"

ROUNDS		equ 200
BATCHES		equ 8

HC_COUNTS	equ 4
COUNTS		equ 6

APIC_BASE	equ 0x1b
APIC_X2		equ 0xc00		; enabled, x2APIC mode
X2APIC_EOI	equ 0x80b
X2APIC_SVR	equ 0x80f
X2APIC_SELF_IPI	equ 0x83f
VECTOR		equ 0x50
KVM_FEATURES	equ 0x40000101
KVM_PV_EOI	equ 6
MSR_PV_EOI	equ 0x4b564d04
X2APIC_TIMER	equ 0x832
TSC_DEADLINE	equ 0x6e0
CPUID1_X2APIC	equ 21
CPUID1_DEADLINE	equ 24
PIC_MASK	equ 0x21
NO_DEVICE	equ 0xe0000000
IOAPIC_DATA	equ 0xfec00010

TOUCH_START	equ 32 << 20
TOUCH_LENGTH	equ 64 << 20
PAGE		equ 4096

TINY_64

%macro REPORT 4				; name, rounds, batches, units; overhead in rax
	mov	rsi, %%name
	mov	rdi, rax
	call	put_text
	mov	rax, %2
	call	put_number
	mov	rax, %3
	call	put_number
	mov	rax, %4
	call	put_number
	mov	rax, rdi
	call	put_number
	call	put_results
	jmp	%%over
%%name:	db	"BENCH ", %1, " ", 0
%%over:
%endmacro

; BEGIN, the operation with what it needs in a round, END name, overhead (DEC and JNZ included), units.
; The operation may use any register but rbp, rsp and r12 to r15; what is set up before BEGIN arrives there.
%macro BEGIN 0
%push bench
	call	counts_before
	mov	r15d, BATCHES
	mov	r14, -1
%$batch:
	mov	ebp, ROUNDS
	call	batch_begin
	align	16
%$round:
%endmacro

%macro END 2-3 1
	dec	ebp
	jnz	%$round
	call	batch_end
	dec	r15d
	jnz	%$batch
	call	counts_after
	push	rax
	push	rsi
	push	rdi
	mov	rax, %2
	REPORT	%1, ROUNDS, BATCHES, %3
	pop	rdi
	pop	rsi
	pop	rax
%pop
%endmacro

; Kernels live in the upper half of the address space, and so do we while we measure.
UPPER		equ 0xffffff8000000000

main:
	mov	rax, [PML4]
	mov	[PML4 + 511 * 8], rax
	mov	rax, UPPER + .upper
	jmp	rax
.upper:
	call	choose_hypercall

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

	mov	ecx, APIC_BASE
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
	mov	ecx, APIC_BASE
	rdmsr
	or	eax, APIC_X2
	wrmsr
	mov	ecx, X2APIC_SVR			; software enable, spurious vector 255
	mov	eax, 0x1ff
	xor	edx, edx
	wrmsr
	mov	ecx, X2APIC_EOI
	BEGIN
	xor	eax, eax
	xor	edx, edx
	wrmsr
	END "x2apic-eoi", 4
	call	bench_interrupt

	bt	dword [features], CPUID1_DEADLINE
	jnc	.none
	mov	ecx, X2APIC_TIMER		; TSC-deadline, vector 0x40
	mov	eax, 0x40040
	xor	edx, edx
	wrmsr
	mov	ecx, TSC_DEADLINE
	BEGIN
	mov	edx, 0x10000000			; far away: none arrives while we measure
	wrmsr
	END "wrmsr-tsc-deadline", 3
	xor	eax, eax
	xor	edx, edx
	wrmsr
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
	mov	ecx, X2APIC_EOI
	xor	eax, eax
	xor	edx, edx
	wrmsr
	pop	rdx
	pop	rcx
	pop	rax
	iretq
	align 4
.word:	dd 0

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

; ---- Measuring --------------------------------------------------------------------------------------

; r13:r12 the start. All other registers are the operation's.
batch_begin:
	push	rax
	push	rdx
	rdtsc
	mov	r12d, eax
	mov	r13d, edx
	pop	rdx
	pop	rax
	ret

batch_end:				; r14 keeps the least
	push	rax
	push	rdx
	rdtsc
	shl	rdx, 32
	or	rax, rdx
	mov	rdx, r13
	shl	rdx, 32
	or	rdx, r12
	sub	rax, rdx
	cmp	rax, r14
	jae	.keep
	mov	r14, rax
.keep:	pop	rdx
	pop	rax
	ret

counts_before:
	push	rdi
	mov	edi, before
	call	read_counts
	pop	rdi
	ret

counts_after:
	push	rdi
	mov	edi, after
	call	read_counts
	pop	rdi
	ret

read_counts:				; to [rdi]; all registers kept but rdi
	push	rax
	push	rbx
	xor	ebx, ebx
.next:	mov	eax, HC_COUNTS
.vmcall:
	vmcall
	mov	[rdi + rbx * 8], rax
	inc	ebx
	cmp	ebx, COUNTS
	jb	.next
	pop	rbx
	pop	rax
	ret

align 8
before:	times COUNTS dq 0
after:	times COUNTS dq 0

; VMCALL or VMMCALL: one byte differs, and is patched in before, so that the loop contains no test
choose_hypercall:
	xor	eax, eax
	cpuid
	cmp	ebx, 'Auth'
	jne	.vmcall
	mov	byte [main.vmcall + 2], 0xd9
	mov	byte [read_counts.vmcall + 2], 0xd9
.vmcall:
	ret

put_number:				; rax, without leading zeros, and a space
	push	rcx
	push	rdx
	mov	rdx, rax
	mov	ecx, 64
.skip:	sub	ecx, 4
	jz	.digit
	mov	rax, rdx
	shr	rax, cl
	jz	.skip
.digit:	mov	rax, rdx
	shr	rax, cl
	and	eax, 15
	mov	al, [digits + rax]
	out	PORT_DEBUG, al
	sub	ecx, 4
	jns	.digit
	mov	al, ' '
	out	PORT_DEBUG, al
	pop	rdx
	pop	rcx
	ret
digits:	db	"0123456789abcdef"

put_results:				; r14 and the counts
	push	rbx
	mov	rax, r14
	call	put_number
	xor	ebx, ebx
.next:	mov	rax, [after + rbx * 8]
	sub	rax, [before + rbx * 8]
	call	put_number
	inc	ebx
	cmp	ebx, COUNTS
	jb	.next
	mov	al, 10
	out	PORT_DEBUG, al
	pop	rbx
	ret
