; SPDX-License-Identifier: MIT
; A hostile driver: chains, indices and sizes that lie (CVE-2026-5747, CVE-2019-18960, CVE-2014-9718,
; CVE-2021-20255). Each time the device stops, says so, and works again after its reset; the VM lives.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "virtio.inc"

; OFFER after the chain was written; AX = head
%macro OFFER 1
	mov	eax, %1
	call	rng_offer
%endmacro

main:
	call	rng_start
	DESCRIPTOR 0, 0xfffffffffffff000, 4096, F_WRITE, 0
	OFFER	0
	REFUSED	"queue.address-wraps"
	call	rng_start
	DESCRIPTOR 0, 0x10000000000, 64, F_WRITE, 0
	OFFER	0
	REFUSED	"queue.address-beyond-ram"
	call	rng_start
	DESCRIPTOR 0, RNG, 256, F_WRITE, 0
	OFFER	0
	REFUSED	"queue.dma-to-own-registers"
	call	rng_start
	DESCRIPTOR 0, LAPIC, 256, F_WRITE, 0
	OFFER	0
	REFUSED	"queue.dma-to-local-apic"
	call	rng_start
	DESCRIPTOR 0, (32 << 20) - 16, 64, F_WRITE, 0
	OFFER	0
	REFUSED	"queue.past-the-end-of-ram"
	call	rng_start
	DESCRIPTOR 0, BUFFER, 16, F_WRITE | F_NEXT, 1
	DESCRIPTOR 1, BUFFER, 16, F_WRITE | F_NEXT, 0
	OFFER	0
	REFUSED	"queue.loop"
	call	rng_start
	DESCRIPTOR 0, BUFFER, 16, F_WRITE | F_NEXT, 0
	OFFER	0
	REFUSED	"queue.own-successor"
	call	rng_start
	DESCRIPTOR 0, BUFFER, 16, F_WRITE | F_NEXT, 999
	OFFER	0
	REFUSED	"queue.next-out-of-range"
	call	rng_start
	OFFER	QUEUE
	REFUSED	"queue.head-out-of-range"
	call	rng_start
	mov	word [AVAIL + 2], QUEUE + 1	; more than fit
	mov	ebx, RNG
	mov	dword [rbx + VIRTIO_NOTIFY], 0
	REFUSED	"queue.index-jumps"
	call	rng_start
	DESCRIPTOR 0, BUFFER, 64, F_INDIRECT, 0	; not negotiated
	OFFER	0
	REFUSED	"queue.indirect-not-offered"
	call	frozen
	call	rings_outside
	call	notifications
	DONE

; After the queue is ready its size and addresses are what they were.
frozen:
	call	rng_start
	mov	ebx, RNG
	mov	dword [rbx + VIRTIO_QNUM], 0xffff
	mov	dword [rbx + VIRTIO_DESC], 0xfffff000
	mov	dword [rbx + VIRTIO_DESC + 4], -1
	mov	dword [rbx + VIRTIO_AVAIL], 0xfffff000
	mov	dword [rbx + VIRTIO_USED], 0xfffff000
	DESCRIPTOR 0, BUFFER, 64, F_WRITE, 0
	OFFER	0
	mov	eax, 1
	call	rng_wait
	mov	eax, [USED + 8]
	CHECK_EQ rax, 64, "queue.frozen"
	call	rng_works
	CHECK_EQ rax, 64, "queue.frozen works again"
	ret

; Rings that are not RAM: no activation, or a device that needs a reset; never more.
rings_outside:
	call	rng_start
	call	rng_reset
	mov	ebx, RNG
	mov	dword [rbx + VIRTIO_STATUS], 1
	mov	dword [rbx + VIRTIO_STATUS], 3
	mov	dword [rbx + VIRTIO_DRV_SEL], 1
	mov	dword [rbx + VIRTIO_DRV], 1
	mov	dword [rbx + VIRTIO_STATUS], 11
	mov	dword [rbx + VIRTIO_QSEL], 0
	mov	dword [rbx + VIRTIO_QNUM], QUEUE
	mov	dword [rbx + VIRTIO_DESC], 0xe0000000
	mov	dword [rbx + VIRTIO_DESC + 4], 0
	mov	dword [rbx + VIRTIO_AVAIL], 0xe0001000
	mov	dword [rbx + VIRTIO_USED], 0xe0002000
	mov	dword [rbx + VIRTIO_QREADY], 1
	mov	dword [rbx + VIRTIO_STATUS], 15
	mov	dword [rbx + VIRTIO_NOTIFY], 0
	call	rng_works
	CHECK_EQ rax, 64, "queue.rings-outside-ram works again"
	ret

; Queues that do not exist, sizes that are none.
notifications:
	call	rng_start
	mov	ebx, RNG
	mov	dword [rbx + VIRTIO_NOTIFY], -1
	mov	dword [rbx + VIRTIO_NOTIFY], 1
	mov	dword [rbx + VIRTIO_QSEL], -1
	mov	dword [rbx + VIRTIO_QNUM], 0
	mov	dword [rbx + VIRTIO_QREADY], 1
	mov	eax, [rbx + VIRTIO_QMAX]
	CHECK_EQ rax, 0, "queue.no-such-queue"
	call	rng_works
	CHECK_EQ rax, 64, "queue.no-such-queue works again"
	ret
