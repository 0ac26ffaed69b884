; SPDX-License-Identifier: MIT
; Clocks against the time-stamp counter: all of them must tell the same time. A reading counts only when two
; looks at the TSC right around it are close together; otherwise the processor was elsewhere meanwhile.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

WINDOW_MS	equ 50

; BRACKET reading into eax: again until it took less than 1/8 ms; r8 the time
%macro BRACKET 1+
%%again:
	call	tsc_khz
	shr	rax, 3
	mov	r9, rax
	call	now
	mov	r8, rax
	%1
	mov	r10d, eax
	call	now
	sub	rax, r8
	cmp	rax, r9
	ja	%%again
	mov	eax, r10d
%endmacro

main:
	call	lapic_on
	call	pm_timer
	call	pit_counter
	call	apic_counter
	call	rtc
	call	pvclock
	DONE

read_pm:
	mov	dx, 0x608
	in	eax, dx
	ret

; expect: r12 counts at r13 kHz in r14 ticks of the TSC; within 3 %
%macro EXPECT_RATE 1
	call	tsc_khz
	mov	rbx, rax
	mov	rax, r14
	mul	r13
	div	rbx			; ticks * kHz / TSC kHz = counts
	mov	rbx, rax
	mov	ecx, 33
	xor	edx, edx
	div	rcx
	mov	rcx, rbx
	sub	rcx, rax
	add	rax, rbx
	CHECK_RANGE r12, rcx, rax, %1
%endmacro

pm_timer:
	BRACKET	call read_pm
	mov	r12d, eax
	mov	r14, r8
	mov	eax, WINDOW_MS
	call	spin_ms
	BRACKET	call read_pm
	sub	eax, r12d
	and	eax, 0xffffff
	mov	r12d, eax
	sub	r8, r14
	mov	r14, r8
	mov	r13d, 3580
	EXPECT_RATE "timers.pm-timer"
	ret

read_pit2:				; counter 2, latched
	mov	al, 0x80
	out	0x43, al
	in	al, 0x42
	mov	ah, al
	in	al, 0x42
	xchg	al, ah
	movzx	eax, ax
	ret

pit_counter:
.again:	call	now
	mov	r13, rax
	in	al, 0x61
	and	al, 0xfc
	or	al, 1			; gate up, speaker off
	out	0x61, al
	mov	al, 0xb0		; counter 2, mode 0
	out	0x43, al
	mov	al, 0xff
	out	0x42, al
	out	0x42, al
	BRACKET	call read_pit2
	mov	r12d, eax
	mov	r14, r8
	mov	eax, WINDOW_MS / 2
	call	spin_ms
	in	al, 0x61
	mov	r15b, al
	BRACKET	call read_pit2
	sub	r12d, eax
	sub	r8, r14
	mov	r14, r8
	call	tsc_khz
	imul	rcx, rax, 50
	call	now
	sub	rax, r13
	cmp	rax, rcx		; it wraps after 55 ms
	ja	.again
	mov	r13d, 1193
	EXPECT_RATE "timers.pit-counter-2"
	movzx	eax, r15b
	and	eax, 0x20
	CHECK_EQ rax, 0, "timers.pit-out-low"
	mov	eax, 60
	call	spin_ms
	in	al, 0x61
	and	al, 0x20
	movzx	eax, al
	CHECK_EQ rax, 0x20, "timers.pit-out-high"
	ret

read_apic:
	mov	eax, LAPIC
	mov	eax, [rax + LAPIC_CURRENT]
	ret

apic_counter:
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_COUNT], -1
	BRACKET	call read_apic
	mov	r12d, eax
	mov	r14, r8
	mov	eax, WINDOW_MS
	call	spin_ms
	BRACKET	call read_apic
	sub	r12d, eax
	sub	r8, r14
	mov	r14, r8
	call	lapic_khz
	mov	r13, rax
	EXPECT_RATE "timers.apic-timer"
	; a one-shot that has run out stays at zero when it is made periodic
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_TIMER], 0x10040
	mov	dword [rax + LAPIC_COUNT], 1000
	mov	eax, 10
	call	spin_ms
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_TIMER], 0x30040
	call	read_apic
	CHECK_EQ rax, 0, "timers.apic-expired-stays"
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_COUNT], 0
	ret

cmos:					; al: index and value
	out	0x70, al
	in	al, 0x71
	ret

; rax: the TSC at a change of the seconds; bl: the second. From before the last look at the old one to after the first
; at the new one took 2 ms at most, or the next change is waited for.
wait_second:
	call	tsc_khz
	lea	r9, [rax * 2]
.again:	call	now
	mov	r10, rax
	mov	al, 0
	call	cmos
	mov	bl, al
.same:	mov	r8, r10
	call	now
	mov	r10, rax
	mov	al, 0
	call	cmos
	cmp	al, bl
	je	.same
	mov	bl, al
	call	now
	mov	r10, rax
	sub	rax, r8
	cmp	rax, r9
	ja	.again
	mov	rax, r10
	ret

rtc:
	mov	al, 0x0d
	call	cmos
	and	eax, 0x80
	CHECK_EQ rax, 0x80, "timers.rtc-valid"
	mov	al, 0x0a
	call	cmos
	and	eax, 0x70
	CHECK_EQ rax, 0x20, "timers.rtc-divider"
	call	wait_second
	mov	r14, rax
	movzx	r13d, bl
	call	wait_second
	sub	rax, r14
	mov	r12, rax
	movzx	eax, bl			; BCD
	call	binary
	mov	r15d, eax
	mov	eax, r13d
	call	binary
	sub	r15d, eax
	jns	.same_minute
	add	r15d, 60
.same_minute:
	call	tsc_khz
	imul	rax, r15
	imul	rcx, rax, 980
	imul	rax, rax, 1020
	CHECK_RANGE r12, rcx, rax, "timers.rtc-second"
	; periodic flags, polled in register C; then none any more
	mov	al, 0x0a
	out	0x70, al
	mov	al, 0x26
	out	0x71, al
	mov	al, 0x0c
	call	cmos
	mov	eax, 5
	call	spin_ms
	mov	al, 0x0c
	call	cmos
	and	eax, 0x40
	CHECK_EQ rax, 0x40, "timers.rtc-periodic-flag"
	mov	al, 0x0a
	out	0x70, al
	mov	al, 0x20
	out	0x71, al
	mov	al, 0x0c
	call	cmos
	mov	eax, 5
	call	spin_ms
	mov	al, 0x0c
	call	cmos
	and	eax, 0x40
	CHECK_EQ rax, 0, "timers.rtc-flag-cleared"
	ret

binary:					; al: two BCD digits
	mov	ecx, eax
	shr	ecx, 4
	imul	ecx, ecx, 10
	and	eax, 15
	add	eax, ecx
	ret

; KVM's clock, if offered: its arithmetic gives the same time as the TSC.
pvclock:
	mov	eax, 0x40000101
	cpuid
	bt	eax, 3
	jnc	.none
	mov	rbx, 0x200001
	WRITE_MSR 0x4b564d01, rbx
	call	tsc_khz
	mov	r14, rax		; 1 ms
.late:	call	now
	mov	r13, rax
	sub	rax, [0x200008]		; since tsc_timestamp
	mov	cl, [0x20001c]
	test	cl, cl
	js	.down
	shl	rax, cl
	jmp	.scale
.down:	neg	cl
	shr	rax, cl
.scale:	mov	edx, [0x200018]
	mul	rdx
	shrd	rax, rdx, 32
	add	rax, [0x200010]
	mov	r12, rax		; nanoseconds since the start
	mov	eax, 3
	call	hypercall
	sub	rax, r12
	mov	r12, rax
	call	now
	sub	rax, r13
	cmp	rax, r14
	ja	.late
	CHECK_RANGE r12, 0, 20000000, "timers.pvclock-agrees"
	mov	rbx, 0xfffff000001
	mov	rax, rbx
	mov	rdx, rax
	shr	rdx, 32
	mov	ecx, 0x4b564d01
	EXPECT_FAULT 13, "timers.pvclock-no-ram", wrmsr
.none:	ret
