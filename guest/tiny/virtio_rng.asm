; SPDX-License-Identifier: MIT
; The entropy device by a driver of a few lines: random bytes, twice: with an edge as the tables say, and with a level.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "virtio.inc"

interrupts:	dq 0
handler:
	push	rax
	push	rbx
	inc	qword [interrupts]
	mov	ebx, RNG
	mov	eax, [rbx + VIRTIO_ISR]
	mov	[rbx + VIRTIO_ACK], eax		; or the line stays up: no further edge, and a level would bring us here again at once
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_EOI], 0
	pop	rbx
	pop	rax
	iretq

main:
	call	lapic_on
	SET_GATE 0x51, handler
	mov	eax, RNG_GSI
	mov	edx, 0x51			; edge, active high
	call	ioapic_set
	sti
	mov	ebx, RNG
	mov	eax, [rbx + VIRTIO_QMAX]
	CHECK_RANGE rax, QUEUE, 1024, "rng.queue-max"
	call	rng_start
	call	rng_status
	CHECK_EQ rax, 0xf, "rng.status"
	DESCRIPTOR 0, BUFFER, 32, F_WRITE | F_NEXT, 1
	DESCRIPTOR 1, BUFFER + 0x100, 32, F_WRITE, 0
	xor	eax, eax
	call	rng_offer
	mov	eax, 1
	call	rng_wait
	movzx	eax, word [USED + 2]
	CHECK_EQ rax, 1, "rng.used"
	mov	eax, [USED + 4]
	CHECK_EQ rax, 0, "rng.used-id"
	mov	eax, [USED + 8]
	CHECK_EQ rax, 64, "rng.used-length"
	mov	rax, [BUFFER]
	or	rax, [BUFFER + 8]
	test	rax, rax
	CHECK_IF nz, "rng.bytes"
	mov	rax, [BUFFER + 32]
	CHECK_EQ rax, 0, "rng.not-past-the-end"
	mov	r12, [BUFFER]
	mov	r13, [BUFFER + 0x100]
	cmp	r12, r13
	CHECK_IF ne, "rng.different-parts"
	mov	eax, 5
	call	spin_ms
	mov	rax, [interrupts]
	CHECK_EQ rax, 1, "rng.edge"
	mov	eax, RNG_GSI
	mov	edx, 0x8051			; level
	call	ioapic_set
	xor	eax, eax
	call	rng_offer
	mov	eax, 2
	call	rng_wait
	mov	rax, [BUFFER]
	cmp	rax, r12
	CHECK_IF ne, "rng.different-times"
	mov	eax, 5
	call	spin_ms
	cli
	mov	rax, [interrupts]
	CHECK_EQ rax, 2, "rng.level"
	mov	ebx, RNG
	mov	eax, [rbx + VIRTIO_ISR]
	CHECK_EQ rax, 0, "rng.isr-clear"
	; more rounds than the ring is long
	mov	r14d, 20
.round:	xor	eax, eax
	call	rng_offer
	movzx	eax, word [AVAIL + 2]
	call	rng_wait
	dec	r14d
	jnz	.round
	movzx	eax, word [USED + 2]
	CHECK_EQ rax, 22, "rng.wraps"
	DONE
