; SPDX-License-Identifier: MIT
; Interrupts: through the 8259 and LINT0, from the local APIC's timer, through the I/O APIC, as IPIs and NMIs;
; HLT, IF, the shadow of STI, priorities, EOI, KVM's EOI without an exit.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

ONE_MS		equ 1193		; of the 8254

main:
	COUNT_GATE 0x20
	COUNT_GATE 0x41
	COUNT_GATE 0x42
	COUNT_GATE 0x43
	COUNT_GATE 0x61
	COUNT_GATE 0xff
	call	lapic_on
	call	pic_init
	call	pic_interrupt
	call	pic_apic_off
	call	ioapic_interrupt
	call	apic_timer
	call	priorities
	call	deadline
	call	nmi
	call	software
	call	x2apic
	call	pv_eoi
	DONE

wait_ms:				; two milliseconds
	mov	eax, 2
	jmp	spin_ms

since_ms:				; rax: milliseconds since the TSC stood at r10, rounded up
	push	rdx
	push	rcx
	call	tsc_khz
	mov	rcx, rax
	call	now
	sub	rax, r10
	xor	edx, edx
	div	rcx
	inc	rax
	pop	rcx
	pop	rdx
	ret

pic_interrupt:
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_LINT0], 0x700	; ExtINT
	mov	eax, ONE_MS		; let it become pending behind the mask
	call	pit_once
	sti
	call	wait_ms
	cli
	mov	al, 0x0a		; read the 8259's IRR
	out	0x20, al
	in	al, 0x20
	and	eax, 1
	CHECK_EQ rax, 1, "irq.pic-irr"
	mov	al, 0xfe
	out	0x21, al
	nop
	in	al, 0x80
	CHECK_COUNT 0x20, 0, "irq.held-while-if-clear"
	sti
	cli				; the shadow of STI covers this instruction
	CHECK_COUNT 0x20, 0, "irq.sti-shadow"
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x20, 1, "irq.pic-extint"
	mov	eax, ONE_MS
	call	pit_once
	sti
	hlt
	cli
	CHECK_COUNT 0x20, 2, "irq.hlt-wakes"
	mov	al, 0xff
	out	0x21, al
	mov	eax, ONE_MS
	call	pit_once
	sti
	call	wait_ms
	cli
	mov	al, 0xfe
	out	0x21, al
	sti
	hlt				; pending before: the HLT after STI must not sleep for ever
	cli
	CHECK_COUNT 0x20, 3, "irq.hlt-pending"
	call	now
	mov	r10, rax
	mov	eax, ONE_MS
	call	pit_periodic
	mov	r8d, 5
.tick:	sti
	hlt
	cli
	dec	r8d
	jnz	.tick
	mov	al, 0xff
	out	0x21, al
	mov	ebx, [irq_counts + 0x20 * 4]
	call	since_ms		; a tick per millisecond, not more; who gets no turn for long loses some
	add	rax, 3
	CHECK_RANGE rbx, 8, rax, "irq.pit-periodic"
	mov	[irq_counts + 0x21 * 4], ebx
	sti
	call	wait_ms
	cli
	mov	eax, [irq_counts + 0x20 * 4]
	CHECK_EQ rax, rbx, "irq.pic-masked"
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_LINT0], 0x10700
	mov	al, 0xfe
	out	0x21, al
	sti
	call	wait_ms
	cli
	mov	eax, [irq_counts + 0x20 * 4]
	mov	ebx, [irq_counts + 0x21 * 4]
	CHECK_EQ rax, rbx, "irq.lint0-masked"
	mov	al, 0xff
	out	0x21, al
	mov	al, 0x30		; mode 0 and no count yet: the output is low and stays so
	out	0x43, al
	ret

; Globally disabled, the local APIC lets the 8259 through to INTR as on a PC without one.
pic_apic_off:
	mov	dword [irq_counts + 0x20 * 4], 0
	call	pic_init
	READ_MSR MSR_APIC_BASE
	mov	r9, rax
	and	eax, ~0x800
	wrmsr
	mov	al, 0xfe
	out	0x21, al
	mov	eax, ONE_MS
	call	pit_once
	sti
	hlt
	cli
	CHECK_COUNT 0x20, 1, "irq.apic-off-extint"
	mov	al, 0xff
	out	0x21, al
	WRITE_MSR MSR_APIC_BASE, r9
	call	lapic_on
	ret

ioapic_interrupt:
	mov	eax, 2
	mov	edx, 0x42		; the timer: edge, fixed
	call	ioapic_set
	mov	eax, ONE_MS
	call	pit_once
	sti
	hlt
	cli
	CHECK_COUNT 0x42, 1, "irq.ioapic-pit"
	mov	edx, 0x10042
	mov	eax, 2
	call	ioapic_set
	mov	eax, ONE_MS
	call	pit_once
	sti
	call	wait_ms
	cli
	CHECK_COUNT 0x42, 1, "irq.ioapic-masked"
	ret

apic_timer:
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_TIMER], 0x41
	mov	dword [rbx + LAPIC_COUNT], 100000000	; 10 s: others may have their turns before we look
	mov	eax, [rbx + LAPIC_CURRENT]
	CHECK_RANGE rax, 1, 100000000, "irq.timer-current"
	mov	dword [rbx + LAPIC_COUNT], 10000	; 1 ms
	sti
	hlt
	cli
	CHECK_COUNT 0x41, 1, "irq.timer-one-shot"
	mov	eax, [rbx + LAPIC_CURRENT]
	CHECK_EQ rax, 0, "irq.timer-stopped"
	call	now
	mov	r10, rax
	mov	dword [rbx + LAPIC_TIMER], 0x20041
	mov	dword [rbx + LAPIC_COUNT], 10000
	mov	r8d, 5
.tick:	sti
	hlt
	cli
	dec	r8d
	jnz	.tick
	mov	ecx, [irq_counts + 0x41 * 4]
	call	since_ms
	inc	rax
	CHECK_RANGE rcx, 6, rax, "irq.timer-periodic"
	mov	dword [rbx + LAPIC_TIMER], 0x10041
	mov	[irq_counts + 0x44 * 4], ecx
	sti
	call	wait_ms
	cli
	mov	eax, [irq_counts + 0x41 * 4]
	mov	ecx, [irq_counts + 0x44 * 4]
	sub	eax, ecx
	CHECK_RANGE rax, 0, 1, "irq.timer-masked"	; one may have been pending already
	mov	dword [rbx + LAPIC_COUNT], 0
	ret

self_ipi:				; eax: vector
	push	rbx
	mov	ebx, LAPIC
	or	eax, 0x44000		; shorthand self, assert
	mov	[rbx + LAPIC_ICR], eax
	pop	rbx
	ret

priorities:
	mov	ebx, LAPIC
	mov	eax, 0x43
	call	self_ipi
	mov	eax, [rbx + LAPIC_IRR + 0x20]
	CHECK_EQ rax, 8, "irq.irr"
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x43, 1, "irq.self-ipi"
	mov	qword [irq_no_eoi], 1
	mov	eax, 0x43
	call	self_ipi
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x43, 2, "irq.without-eoi"
	mov	qword [irq_no_eoi], 0
	mov	eax, [rbx + LAPIC_ISR + 0x20]
	CHECK_EQ rax, 8, "irq.isr"
	mov	eax, 0x43
	call	self_ipi
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x43, 2, "irq.waits-for-eoi"
	mov	eax, 0x61
	call	self_ipi
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x61, 1, "irq.higher-class-nests"
	mov	dword [rbx + LAPIC_EOI], 0
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x43, 3, "irq.after-eoi"
	mov	eax, 6
	mov	cr8, rax
	mov	eax, 0x61
	call	self_ipi
	sti
	nop
	nop
	CHECK_COUNT 0x61, 1, "irq.cr8-holds"
	xor	eax, eax
	mov	cr8, rax
	nop
	cli
	CHECK_COUNT 0x61, 2, "irq.cr8-releases"
	mov	dword [rbx + LAPIC_TPR], 0x50
	mov	eax, 0x43
	call	self_ipi
	sti
	nop
	nop
	CHECK_COUNT 0x43, 3, "irq.tpr-holds"
	mov	dword [rbx + LAPIC_TPR], 0x30
	nop
	cli
	CHECK_COUNT 0x43, 4, "irq.tpr-releases"
	ret

deadline:
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_TIMER], 0x40041
	mov	dword [irq_counts + 0x41 * 4], 0
	call	tsc_khz
	mov	r8, rax
	call	now
	add	r8, rax
	WRITE_MSR 0x6e0, r8
	sti
	hlt
	cli
	call	now
	cmp	rax, r8
	CHECK_IF ae, "irq.deadline-not-early"
	CHECK_COUNT 0x41, 1, "irq.deadline"
	READ_MSR 0x6e0
	CHECK_EQ rax, 0, "irq.deadline-disarmed"
	call	now
	WRITE_MSR 0x6e0, rax		; already past: at once
	sti
	nop
	hlt_if_needed:
	cmp	dword [irq_counts + 0x41 * 4], 2
	je	.done
	pause
	jmp	hlt_if_needed
.done:	cli
	CHECK_COUNT 0x41, 2, "irq.deadline-past"
	ret

; ---- NMI: taken with IF clear, the next one only after IRET ------------------------------------------------

nmi_depth:	dd 0
nmi_deepest:	dd 0
nmi_count:	dd 0
nmi_again:	dd 0

send_nmi:
	push	rbx
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_ICR_HIGH], 0
	mov	dword [rbx + LAPIC_ICR], 0x4400		; to APIC 0, physical
	pop	rbx
	ret

nmi_handler:
	inc	dword [nmi_count]
	inc	dword [nmi_depth]
	push	rax
	mov	eax, [nmi_depth]
	cmp	eax, [nmi_deepest]
	jbe	.no
	mov	[nmi_deepest], eax
.no:	cmp	dword [nmi_again], 0
	je	.end
	dec	dword [nmi_again]
	call	send_nmi
	push	rbx
	push	rcx
	push	rdx
	xor	eax, eax		; exits while NMIs are blocked
	cpuid
	in	al, 0x80
	pop	rdx
	pop	rcx
	pop	rbx
.end:	pop	rax
	dec	dword [nmi_depth]
	iretq

nmi:
	SET_GATE 2, nmi_handler
	cli
	call	send_nmi
	nop
	nop
	mov	eax, [nmi_count]
	CHECK_EQ rax, 1, "irq.nmi"
	mov	dword [nmi_again], 1
	call	send_nmi
	nop
	in	al, 0x80		; an exit, after which a hypervisor that watches IRET knows that it has run
	nop
	mov	eax, [nmi_count]
	CHECK_EQ rax, 3, "irq.nmi-second"
	mov	eax, [nmi_deepest]
	CHECK_EQ rax, 1, "irq.nmi-blocked-until-iret"
	ret

software:
	COUNT_GATE 0x80
	int	0x80
	CHECK_COUNT 0x80, 1, "irq.int-n"
	SET_GATE 3, .breakpoint
	int3
.after:	CHECK_EQ rax, .after, "irq.int3-rip"
	SET_GATE 3, gate_3
	ret
.breakpoint:
	mov	rax, [rsp]
	iretq

x2apic:
	call	x2apic_on
	COUNT_X2APIC_GATE 0x50
	mov	ecx, 0x83f		; self IPI
	mov	eax, 0x50
	xor	edx, edx
	wrmsr
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x50, 1, "irq.x2apic-self-ipi"
	WRITE_MSR 0x830, 0x40050	; ICR, shorthand self
	sti
	nop
	nop
	cli
	CHECK_COUNT 0x50, 2, "irq.x2apic-icr"
	mov	eax, LAPIC
	mov	eax, [rax + LAPIC_ID]
	inc	eax
	CHECK_EQ rax, 0, "irq.x2apic-no-page"
	ret

; KVM's end of interrupt without an exit: bit 0 of a word of ours says whether it may be cleared instead of EOI.
MSR_PV_EOI	equ 0x4b564d04

%macro INTERRUPT_SELF 1			; in x2APIC mode
	WRITE_MSR 0x83f, %1
	sti
	nop
	nop
	cli
%endmacro

%macro CHECK_SERVED 3			; word of the ISR, expected, name
	READ_MSR 0x810 + %1
	CHECK_EQ rax, %2, %3
%endmacro

KVM_FEATURES	equ 0x40000101
KVM_PV_EOI	equ 6

pv_eoi:
	mov	eax, KVM_FEATURES
	cpuid
	bt	eax, KVM_PV_EOI
	jc	.offered
	SKIP	"irq.pv-eoi", "the processor delivers, EOI does not exit"
	ret
.offered:
	SET_GATE 0x53, .handler
	SET_GATE 0x54, .handler
	SET_GATE 0x63, .handler
	WRITE_MSR MSR_PV_EOI, .word + 1
	INTERRUPT_SELF 0x53
	mov	eax, [.seen]
	CHECK_EQ rax, 0x701, "irq.pv-eoi-offered"
	INTERRUPT_SELF 0x54
	mov	eax, [.count]
	CHECK_EQ rax, 2, "irq.pv-eoi-ends"
	CHECK_SERVED 2, 0, "irq.pv-eoi-nothing-in-service"
	mov	dword [.keeps], 1
	INTERRUPT_SELF 0x53
	mov	dword [.keeps], 0
	INTERRUPT_SELF 0x54		; of the same class: waits for an EOI, which must be an exit now
	mov	eax, [.count]
	CHECK_EQ rax, 3, "irq.pv-eoi-waits"
	mov	eax, [.word]
	CHECK_EQ rax, 0x700, "irq.pv-eoi-offer-ends"
	INTERRUPT_SELF 0x63		; of a higher class: comes while the other is in service
	mov	eax, [.count]
	CHECK_EQ rax, 4, "irq.pv-eoi-nests"
	CHECK_SERVED 2, 1 << 0x13, "irq.pv-eoi-outer-stays"
	WRITE_MSR 0x80b, 0
	sti
	nop
	nop
	cli
	mov	eax, [.count]
	CHECK_EQ rax, 5, "irq.pv-eoi-then-eoi"
	WRITE_MSR 0x83f, 0x53
	WRITE_MSR 0x83f, 0x63
	sti
	nop
	nop
	cli
	mov	eax, [.before]
	CHECK_EQ rax, 0x700, "irq.pv-eoi-not-while-one-waits"
	mov	eax, [.count]
	CHECK_EQ rax, 7, "irq.pv-eoi-both"
	WRITE_MSR MSR_PV_EOI, 0
	INTERRUPT_SELF 0x53
	mov	eax, [.seen]
	CHECK_EQ rax, 0x700, "irq.pv-eoi-off"
	CHECK_SERVED 2, 0, "irq.pv-eoi-all-ended"
	ret

; Ends its interrupt as Linux does, by one instruction that tests the bit and clears it.
.handler:
	push	rax
	push	rcx
	push	rdx
	inc	dword [.count]
	mov	eax, [.seen]
	mov	[.before], eax
	mov	eax, [.word]
	mov	[.seen], eax
	cmp	dword [.keeps], 0
	jne	.end
	btr	dword [.word], 0
	jc	.end
	X2APIC_END
.end:	pop	rdx
	pop	rcx
	pop	rax
	iretq

	align 4
.word:	dd 0x700			; the other bits stay as they are
.seen:	dd 0				; the word in the last handler...
.before: dd 0				; ...and in the one before it
.count:	dd 0
.keeps:	dd 0				; not 0: the handler leaves its interrupt in service
