; SPDX-License-Identifier: MIT
; The local APIC in x2APIC mode, where some processors deliver interrupts by themselves: messages to itself, EOI, TPR
; and CR8, nested priorities, levels that ask again, what is #GP; beside the 8259, with HLT, off and on again.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

X2_TPR		equ 0x808
X2_PPR		equ 0x80a
X2_EOI		equ 0x80b
X2_SVR		equ 0x80f
X2_ISR		equ 0x810
X2_TMR		equ 0x818
X2_IRR		equ 0x820
X2_ESR		equ 0x828
X2_TIMER	equ 0x832
X2_LINT0	equ 0x835
X2_COUNT	equ 0x838
X2_DIVIDE	equ 0x83e
X2_SELF_IPI	equ 0x83f
PIT_INPUT	equ 2			; of the I/O APIC
PIT_LOW		equ 0x30		; mode 0 and no count: the output is low until a count has run out

; A gate for the vector: counts it, and ends it by MSR unless irq_no_eoi says not to.
%macro X2_GATE 1
	SET_GATE %1, %%handler
	jmp	%%over
%%handler:
	inc	dword [irq_counts + %1 * 4]
	cmp	qword [irq_no_eoi], 0
	jne	%%done
	call	eoi
%%done:	iretq
%%over:
%endmacro

%macro SELF 1
	WRITE_MSR X2_SELF_IPI, %1
%endmacro

%macro LET_IN 0				; whatever waits
	sti
	nop
	nop
	cli
%endmacro

%macro CHECK_MSR 3			; number, expected, name
	READ_MSR %1
	CHECK_EQ rax, %2, %3
%endmacro

main:
	COUNT_GATE 0x20
	X2_GATE	0x31
	X2_GATE 0x51
	X2_GATE 0x52
	X2_GATE 0x61
	X2_GATE 0xff
	call	lapic_on
	call	pic_init
	call	x2apic_on
	call	identity
	call	to_itself
	call	task_priority
	call	nested
	call	level
	call	refused
	call	halted
	call	beside_8259
	call	periodic
	call	off_and_on
	DONE

eoi:
	push	rax
	push	rcx
	push	rdx
	WRITE_MSR X2_EOI, 0
	pop	rdx
	pop	rcx
	pop	rax
	ret

identity:
	CHECK_MSR 0x802, 0, "x2apic.id"
	CHECK_MSR 0x80d, 1, "x2apic.ldr"
	READ_MSR 0x803
	and	eax, 0xff
	CHECK_RANGE rax, 0x10, 0x15, "x2apic.version"
	ret

to_itself:
	SELF	0x51
	CHECK_MSR X2_IRR + 2, 1 << 0x11, "x2apic.irr"
	LET_IN
	CHECK_COUNT 0x51, 1, "x2apic.self-ipi"
	CHECK_MSR X2_IRR + 2, 0, "x2apic.irr-taken"
	CHECK_MSR X2_ISR + 2, 0, "x2apic.eoi"
	sti
	SELF	0x51			; with IF set: at once
	nop
	cli
	CHECK_COUNT 0x51, 2, "x2apic.self-ipi-at-once"
	SELF	0x31
	SELF	0x61
	SELF	0x51
	LET_IN
	CHECK_COUNT 0x31, 1, "x2apic.three-low"
	CHECK_COUNT 0x51, 3, "x2apic.three-middle"
	CHECK_COUNT 0x61, 1, "x2apic.three-high"
	WRITE_MSR 0x830, 0x44051	; ICR, shorthand self
	LET_IN
	CHECK_COUNT 0x51, 4, "x2apic.icr-self"
	ret

task_priority:
	WRITE_MSR X2_TPR, 0x58
	SELF	0x52
	LET_IN
	CHECK_COUNT 0x52, 0, "x2apic.tpr-holds"
	CHECK_MSR X2_PPR, 0x58, "x2apic.tpr-ppr"
	mov	rax, cr8
	CHECK_EQ rax, 5, "x2apic.tpr-cr8"
	SELF	0x61
	LET_IN
	CHECK_COUNT 0x61, 2, "x2apic.tpr-lets-higher-in"
	sti
	WRITE_MSR X2_TPR, 0x4f
	nop
	cli
	CHECK_COUNT 0x52, 1, "x2apic.tpr-releases"
	mov	eax, 6
	mov	cr8, rax
	CHECK_MSR X2_TPR, 0x60, "x2apic.cr8-tpr"
	SELF	0x61
	LET_IN
	CHECK_COUNT 0x61, 2, "x2apic.cr8-holds"
	xor	eax, eax
	sti
	mov	cr8, rax
	nop
	cli
	CHECK_COUNT 0x61, 3, "x2apic.cr8-releases"
	ret

nested:
	mov	qword [irq_no_eoi], 1
	SELF	0x51
	LET_IN
	CHECK_MSR X2_PPR, 0x50, "x2apic.serves"
	SELF	0x52
	LET_IN
	CHECK_COUNT 0x52, 1, "x2apic.same-class-waits"
	SELF	0x61
	LET_IN
	CHECK_COUNT 0x61, 4, "x2apic.higher-class-nests"
	CHECK_MSR X2_ISR + 2, 1 << 0x11, "x2apic.outer-in-service"
	CHECK_MSR X2_ISR + 3, 1 << 1, "x2apic.inner-in-service"
	CHECK_MSR X2_PPR, 0x60, "x2apic.inner-ppr"
	mov	qword [irq_no_eoi], 0
	call	eoi
	CHECK_MSR X2_PPR, 0x50, "x2apic.eoi-of-inner"
	LET_IN
	CHECK_COUNT 0x52, 1, "x2apic.waits-for-outer"
	sti
	call	eoi
	nop
	cli
	CHECK_COUNT 0x52, 2, "x2apic.eoi-of-outer"
	CHECK_MSR X2_PPR, 0, "x2apic.all-ended"
	ret

; The 8254's output stays high when its count has run out: a level that asks again at each EOI.
level:
	SET_GATE 0x53, .handler
	mov	al, PIT_LOW
	out	0x43, al
	mov	eax, PIT_INPUT
	mov	edx, 0x8053
	call	ioapic_set
	WRITE_MSR X2_TPR, 0xf0		; with IF set, or an emulator may keep the host's timer back
	mov	eax, 100
	call	pit_once
	sti
	mov	ecx, X2_IRR + 2
	mov	ebp, 1 << 0x13
	call	until_requested
	cli
	CHECK_MSR X2_IRR + 2, 1 << 0x13, "x2apic.level-requested"
	CHECK_MSR X2_TMR + 2, 1 << 0x13, "x2apic.level-tmr"
	WRITE_MSR X2_TPR, 0
	sti
	mov	eax, 1
	call	spin_ms
	cli
	CHECK_COUNT 0x53, 3, "x2apic.level-asks-again"
	CHECK_MSR X2_IRR + 2, 0, "x2apic.level-ends"
	mov	eax, PIT_INPUT
	mov	edx, 0x10000
	call	ioapic_set
	SELF	0x53			; the same vector as an edge: its end is nobody's business
	LET_IN
	CHECK_COUNT 0x53, 4, "x2apic.level-then-edge"
	ret
.handler:
	push	rax
	inc	dword [irq_counts + 0x53 * 4]
	cmp	dword [irq_counts + 0x53 * 4], 3
	jne	.end
	mov	al, PIT_LOW		; before the EOI: the fourth does not come
	out	0x43, al
.end:	call	eoi
	pop	rax
	iretq

%macro REFUSE_WRITE 3			; number, value, name
	mov	ecx, %1
	mov	eax, %2
	xor	edx, edx
	EXPECT_FAULT 13, %3, wrmsr
%endmacro

%macro REFUSE_READ 2
	mov	ecx, %1
	EXPECT_FAULT 13, %2, rdmsr
%endmacro

refused:
	REFUSE_WRITE X2_EOI, 1, "x2apic.eoi-not-0"
	REFUSE_WRITE X2_TPR, 0x100, "x2apic.tpr-reserved"
	REFUSE_WRITE X2_SELF_IPI, 0x151, "x2apic.self-ipi-reserved"
	REFUSE_WRITE X2_PPR, 0, "x2apic.ppr-read-only"
	REFUSE_WRITE X2_ISR, 0, "x2apic.isr-read-only"
	REFUSE_WRITE 0x802, 0, "x2apic.id-read-only"
	REFUSE_WRITE 0x80d, 1, "x2apic.ldr-read-only"
	REFUSE_READ X2_EOI, "x2apic.eoi-write-only"
	REFUSE_READ X2_SELF_IPI, "x2apic.self-ipi-write-only"
	REFUSE_READ 0x809, "x2apic.no-apr"
	REFUSE_READ 0x80e, "x2apic.no-dfr"
	REFUSE_READ 0x840, "x2apic.nothing-there"
	WRITE_MSR X2_ESR, 0
	SELF	5
	WRITE_MSR X2_ESR, 0
	CHECK_MSR X2_ESR, 0x20, "x2apic.self-ipi-illegal"
	ret

halted:
	SELF	0x51
	sti
	hlt				; it is requested already
	cli
	CHECK_COUNT 0x51, 6, "x2apic.hlt-pending"
	WRITE_MSR X2_TPR, 0x60
	SELF	0x51			; must not wake it
	WRITE_MSR X2_DIVIDE, 0xb
	WRITE_MSR X2_TIMER, 0xff
	WRITE_MSR X2_COUNT, 1000
	sti
	hlt
	cli
	CHECK_COUNT 0x51, 6, "x2apic.hlt-held"
	CHECK_COUNT 0xff, 1, "x2apic.hlt-wakes"
	sti
	WRITE_MSR X2_TPR, 0
	nop
	cli
	CHECK_COUNT 0x51, 7, "x2apic.hlt-then-the-rest"
	WRITE_MSR X2_TIMER, 0x10000
	ret

both_ask:				; the 8259 by the PIT, and the local APIC, and then IF is set for a moment
	mov	eax, 100
	call	pit_once
	call	until_8259_asks
	SELF	0x51
	LET_IN
	ret

; By the host's timer, which may be late on a busy machine: so far is waited for it, and no further
WAIT_MS		equ 3000

until_requested:			; ecx: a word of IRR, ebp: which bit of it
	mov	r8d, WAIT_MS
.look:	rdmsr
	test	eax, ebp
	jnz	.done
	mov	eax, 1
	push	rcx
	call	spin_ms
	pop	rcx
	dec	r8d
	jnz	.look
.done:	ret

until_8259_asks:			; IRQ 0 is in the first one's IRR
	mov	r8d, WAIT_MS
.look:	mov	al, 0x0a
	out	0x20, al
	in	al, 0x20
	test	al, 1
	jnz	.done
	mov	eax, 1
	call	spin_ms
	dec	r8d
	jnz	.look
.done:	ret

; Both controllers have something: the 8259's, which is not the local APIC's to hold back, and one of ours.
beside_8259:
	SET_GATE 0x20, .handler
	call	pic_init		; forgets the rises of before
	mov	dword [irq_counts + 0x20 * 4], 0
	WRITE_MSR X2_LINT0, 0x700
	mov	al, 0xfe
	out	0x21, al
	call	both_ask
	nop
	LET_IN
	CHECK_COUNT 0x20, 1, "x2apic.extint"
	CHECK_COUNT 0x51, 8, "x2apic.beside-extint"
	WRITE_MSR X2_TPR, 0xf0
	call	both_ask
	CHECK_COUNT 0x20, 2, "x2apic.extint-passes-tpr"
	CHECK_COUNT 0x51, 8, "x2apic.tpr-beside-extint"
	sti
	WRITE_MSR X2_TPR, 0
	nop
	cli
	CHECK_COUNT 0x51, 9, "x2apic.behind-extint"
	mov	al, 0xff
	out	0x21, al
	WRITE_MSR X2_LINT0, 0x10700
	ret
.handler:
	push	rax
	inc	dword [irq_counts + 0x20 * 4]
	mov	al, 0x20
	out	0x20, al
	pop	rax
	iretq

; Periods that nobody takes become one interrupt, and go on behind it.
periodic:
	mov	dword [irq_counts + 0x61 * 4], 0
	WRITE_MSR X2_TIMER, 0x20061
	WRITE_MSR X2_COUNT, 10000	; 1 ms
	mov	ecx, X2_IRR + 3
	mov	ebp, 1 << 1
	call	until_requested
	mov	eax, 5
	call	spin_ms
	LET_IN
	mov	eax, [irq_counts + 0x61 * 4]
	CHECK_RANGE rax, 1, 2, "x2apic.periods-in-one"
	sti
	mov	r8d, 3000		; others have their turns meanwhile: not how many in a time, but that they come
.wait:	mov	eax, 1
	call	spin_ms
	cmp	dword [irq_counts + 0x61 * 4], 4
	jae	.come
	dec	r8d
	jnz	.wait
.come:	cli
	mov	eax, [irq_counts + 0x61 * 4]
	CHECK_RANGE rax, 4, 6, "x2apic.periodic-goes-on"
	WRITE_MSR X2_TIMER, 0x10061
	LET_IN
	ret

off_and_on:
	SELF	0x51
	WRITE_MSR X2_SVR, 0xff		; what was requested stays, what comes is lost
	SELF	0x52
	CHECK_MSR X2_IRR + 2, 1 << 0x11, "x2apic.off-by-software"
	WRITE_MSR X2_SVR, 0x1ff
	LET_IN
	CHECK_COUNT 0x51, 10, "x2apic.requested-before-off"
	CHECK_COUNT 0x52, 2, "x2apic.sent-while-off"
	mov	qword [irq_no_eoi], 1
	SELF	0x51
	LET_IN
	mov	qword [irq_no_eoi], 0
	READ_MSR MSR_APIC_BASE
	mov	r9, rax
	and	rax, ~0xc00
	WRITE_MSR MSR_APIC_BASE, rax	; off: all is lost
	mov	rax, r9
	and	rax, ~0x400
	WRITE_MSR MSR_APIC_BASE, rax
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_SVR], 0x1ff
	mov	eax, [rax + LAPIC_ISR + 0x20]
	CHECK_EQ rax, 0, "x2apic.off-ends-all"
	call	x2apic_on
	SELF	0x51
	LET_IN
	CHECK_COUNT 0x51, 12, "x2apic.on-again"
	ret
