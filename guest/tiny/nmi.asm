; SPDX-License-Identifier: MIT
; NMIs that wait for the IRET of an earlier NMI's handler: each is delivered right behind that IRET, even if the
; guest makes no exit from then on. An IRET that faults; an IRET that is single-stepped. The guest must not see how
; the hypervisor notices the IRET. And NMIs of a device, by either way, for which a guest waits with interrupts off.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "debug.inc"

SPINS		equ 2000000

main:
	call	lapic_on
	SET_GATE 1, db_handler
	call	in_handler
	call	faulting
	call	stepped
	call	waiting
	DONE

nmi_count:	dd 0
nmi_nested:	dd 0
seen_flags:	dq 0

send_nmi:
	push	rax
	mov	eax, LAPIC
	mov	dword [rax + LAPIC_ICR_HIGH], 0
	mov	dword [rax + LAPIC_ICR], 0x4400
	pop	rax
	ret

; No instruction in this loop exits. ecx is 0 at its end if the second NMI has not come.
%macro SPIN 0
	mov	ecx, SPINS
%%spin:	cmp	dword [nmi_count], 2
	loopne	%%spin
%endmacro

; The first NMI's handler sends another one, which must wait.
nmi_handler:
	push	rcx
	inc	dword [nmi_count]
	cmp	dword [nmi_count], 1
	jne	.second
	call	send_nmi
	mov	ecx, 1000
.look:	loop	.look
	mov	ecx, [nmi_count]
	mov	[nmi_nested], ecx
	pop	rcx
.first_iret:
	iretq
.second:
	mov	rcx, [rsp + 24]
	mov	[seen_flags], rcx
	pop	rcx
	iretq

in_handler:
	SET_GATE 2, nmi_handler
	mov	dword [nmi_count], 0
	call	send_nmi
	SPIN
	mov	eax, [nmi_count]
	CHECK_EQ rax, 2, "nmi.behind-iret"
	mov	eax, [nmi_nested]
	CHECK_EQ rax, 1, "nmi.not-in-its-handler"
	mov	rax, [seen_flags]
	and	eax, 0x100
	CHECK_EQ rax, 0, "nmi.no-tf"
	CHECK_EQ qword [db_count], 0, "nmi.no-db"
	ret

; The first IRET of the handler faults: its #GP comes first, and has flags without TF. The NMI is then let in.
faulting:
	SET_GATE 2, .handler
	SET_GATE 13, .gp
	mov	dword [nmi_count], 0
	call	send_nmi
	SPIN
	mov	eax, [nmi_count]
	CHECK_EQ rax, 2, "nmi.iret-fault-count"
	mov	rax, [seen_gp]
	CHECK_EQ rax, .iret, "nmi.iret-fault-rip"
	mov	rax, [seen_gp + 8]
	and	eax, 0x100
	CHECK_EQ rax, 0, "nmi.iret-fault-no-tf"
	CHECK_EQ qword [db_count], 0, "nmi.iret-fault-no-db"
	mov	rax, [gate_table + 13 * 8]
	SET_GATE 13, rax
	ret
.handler:
	inc	dword [nmi_count]
	cmp	dword [nmi_count], 1
	jne	.iret
	call	send_nmi
	mov	word [rsp + 8], 0x1000	; no such CS
.iret:	iretq
.gp:	push	rax			; stack: rax, error, rip, cs, rflags, rsp, ss, then the frame of the NMI
	mov	rax, [rsp + 16]
	mov	[seen_gp], rax
	mov	rax, [rsp + 32]
	mov	[seen_gp + 8], rax
	mov	rax, [rsp + 40]		; its stack, on which the bad frame is
	mov	qword [rax + 8], CODE64
	pop	rax
	add	rsp, 8
	iretq
seen_gp:	dq 0, 0

; The guest steps over the IRET itself: its own #DB is not lost.
stepped:
	SET_GATE 2, .handler
	mov	dword [nmi_count], 0
	mov	qword [db_count], 0
	call	send_nmi
.spin:	SPIN
	mov	eax, [nmi_count]
	CHECK_EQ rax, 2, "nmi.stepped-count"
	CHECK_EQ qword [db_count], 1, "nmi.stepped-db"
	mov	rax, [db_dr6]
	and	eax, 0x4000
	CHECK_EQ rax, 0x4000, "nmi.stepped-dr6"
	ret
.handler:
	inc	dword [nmi_count]
	cmp	dword [nmi_count], 1
	jne	.second
	call	send_nmi
	pushfq
	or	qword [rsp], 0x100
	popfq
.second:
	iretq

; The 8254 sends NMIs while HLT waits with interrupts off: through the I/O APIC, then through the 8259 and LINT0. Again and
; again, because the first may come before HLT on a machine with many guests.
waiting:
	SET_GATE 2, .handler
	cli
	call	pic_init
	mov	ax, 20000
	call	pit_periodic
	mov	eax, 2
	mov	edx, 0x400
	call	ioapic_set
	mov	dword [nmi_count], 0
	hlt
	cmp	dword [nmi_count], 1
	CHECK_IF ae, "nmi.wakes-by-ioapic"
	mov	eax, 2
	mov	edx, 0x10000
	call	ioapic_set
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_LINT0], 0x400
	mov	al, 0xfe
	out	0x21, al
	mov	dword [nmi_count], 0
	hlt
	cmp	dword [nmi_count], 1
	CHECK_IF ae, "nmi.wakes-by-lint0"
	mov	al, 0xff
	out	0x21, al
	mov	dword [rbx + LAPIC_LINT0], 0x10000
	ret
.handler:
	inc	dword [nmi_count]
	iretq
