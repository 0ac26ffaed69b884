; SPDX-License-Identifier: MIT
; Drivers that make their devices work hard, chosen by the command line. They may use up their own turns, not their
; neighbours'. guest/tiny/witness.asm, with "gap" on its command line, measures for how long a neighbour stood still.
;   feed    a disk's data lands on the available ring and on the next request: each batch announces the next one
;   disk    requests for the whole disk, the ring full of them
;   output  16 MiB of carriage returns, which take no room on a terminal
;   lines   1,024 empty lines in one string instruction to the serial port, and in one request
;   many    requests of 255 buffers that lie in 2,024 chunks of 2 MiB; only the last byte is where nobody has touched
;           memory, and when they come another VM has used up all memory that was zeroed ahead
%include "tiny.inc"
TINY_64
%include "check.inc"

CONSOLE		equ 0xd0000000
DISK		equ 0xd0002000
SIZE		equ 256			; entries of the queue
DISK_BYTES	equ 0x20000		; as tests/boot/test_tiny.py makes it
DESC		equ 0x300000
AVAIL		equ 0x302000
USED		equ 0x303000
HEADER		equ 0x304000		; of the request that reads the next ring
OTHER_HEADER	equ 0x304800		; of those between
STATUS_BYTE	equ 0x304900
BYTES		equ 0x400000
F_NEXT		equ 1
F_WRITE		equ 2
NEEDS_RESET	equ 0x40
BATCHES		equ 8
LINES		equ 1024
MIB		equ 1 << 20
BUFFERS		equ 253			; of 16 MiB, all of them the same
REQUESTS	equ 8
UNTOUCHED	equ 32 * MIB
WAIT_SECONDS	equ 5

main:
	mov	ebx, [boot_info]
	mov	edx, [rbx + 16]		; command line
	mov	al, [rdx]
	cmp	al, 'f'
	je	feed
	cmp	al, 'd'
	je	disk
	cmp	al, 'o'
	je	output
	cmp	al, 'l'
	je	lines
	cmp	al, 'm'
	je	many
	SAY	"FAIL unknown attack"
	DONE

; DESCRIPTOR index, address, length, flags, next
%macro DESCRIPTOR 5
	mov	dword [DESC + %1 * 16], %2
	mov	dword [DESC + %1 * 16 + 4], 0
	mov	dword [DESC + %1 * 16 + 8], %3
	mov	word [DESC + %1 * 16 + 12], %4
	mov	word [DESC + %1 * 16 + 14], %5
%endmacro

begin_device:					; rbx: the device, eax: the queue; up to DRIVER_OK
	mov	dword [rbx + 0x70], 0
	mov	dword [rbx + 0x70], 3
	mov	dword [rbx + 0x24], 1
	mov	dword [rbx + 0x20], 1		; VERSION_1
	mov	dword [rbx + 0x70], 11
	mov	[rbx + 0x30], eax
	mov	dword [rbx + 0x38], SIZE
	mov	dword [rbx + 0x80], DESC
	mov	dword [rbx + 0x84], 0
	mov	dword [rbx + 0x90], AVAIL
	mov	dword [rbx + 0x94], 0
	mov	dword [rbx + 0xa0], USED
	mov	dword [rbx + 0xa4], 0
	mov	dword [rbx + 0x44], 1
	mov	dword [rbx + 0x70], 15
	ret

fill_ring:				; ax: this chain in all entries
	mov	edi, AVAIL + 4
	mov	ecx, SIZE
	rep	stosw
	ret

; Sector n of the disk holds: the ring's flags and index, n + 2 batches on, and the header of a read of sector n + 1.
feed:
	mov	ebx, DISK
	xor	eax, eax
	call	begin_device
	DESCRIPTOR 0, HEADER, 16, F_NEXT, 1
	DESCRIPTOR 1, AVAIL, 4, F_NEXT | F_WRITE, 2
	DESCRIPTOR 2, HEADER, 508, F_NEXT | F_WRITE, 3
	DESCRIPTOR 3, STATUS_BYTE, 1, F_WRITE, 0
	DESCRIPTOR 4, OTHER_HEADER, 16, F_NEXT, 5
	DESCRIPTOR 5, BYTES, 2048, F_NEXT | F_WRITE, 6
	DESCRIPTOR 6, STATUS_BYTE, 1, F_WRITE, 0
	mov	eax, 4
	call	fill_ring
	mov	word [AVAIL + 4 + (SIZE - 1) * 2], 0	; the last of a batch brings the next
	mov	word [AVAIL + 2], SIZE
	mov	dword [rbx + 0x50], 0
	; The last sector's index is wrong, so that this ends.
	mov	eax, [rbx + 0x70]
	and	eax, NEEDS_RESET
	CHECK_EQ rax, NEEDS_RESET, "feed.ends-in-a-broken-ring"
	movzx	eax, word [USED + 2]
	CHECK_EQ rax, 0, "feed.65536-requests"
	DONE

disk:
	mov	ebx, DISK
	xor	eax, eax
	call	begin_device
	DESCRIPTOR 0, OTHER_HEADER, 16, F_NEXT, 1
	DESCRIPTOR 1, BYTES, DISK_BYTES, F_NEXT | F_WRITE, 2
	DESCRIPTOR 2, STATUS_BYTE, 1, F_WRITE, 0
	xor	eax, eax
	call	fill_ring
	mov	r12d, BATCHES
.batch:	add	word [AVAIL + 2], SIZE
	mov	dword [rbx + 0x50], 0
	mov	ax, [AVAIL + 2]
.wait:	cmp	[USED + 2], ax
	jne	.wait
	dec	r12d
	jnz	.batch
	movzx	eax, byte [STATUS_BYTE]
	CHECK_EQ rax, 0, "disk.status"
	DONE

output:
	mov	edi, BYTES
	mov	ecx, 1 << 20
	mov	al, 13
	rep	stosb
	mov	ebx, CONSOLE
	mov	eax, 1
	call	begin_device
	DESCRIPTOR 0, BYTES, 1 << 20, F_NEXT, 1
	DESCRIPTOR 1, BYTES, 1 << 20, F_NEXT, 2
	DESCRIPTOR 2, BYTES, 1 << 20, F_NEXT, 3
	DESCRIPTOR 3, BYTES, 1 << 20, 0, 0
	xor	eax, eax
	call	fill_ring
	mov	word [AVAIL + 2], 4
	mov	dword [rbx + 0x50], 1
.wait:	cmp	word [USED + 2], 4
	jne	.wait
	CHECK_EQ 4, 4, "output.sent"
	DONE

lines:
	mov	edi, BYTES
	mov	ecx, LINES
	mov	al, 10
	rep	stosb
	mov	esi, BYTES
	mov	ecx, LINES
	mov	edx, 0x3f8
	rep	outsb
	mov	ebx, CONSOLE
	mov	eax, 1
	call	begin_device
	DESCRIPTOR 0, BYTES, LINES, 0, 0
	mov	word [AVAIL + 4], 0
	mov	word [AVAIL + 2], 1
	mov	dword [rbx + 0x50], 1
.wait:	cmp	word [USED + 2], 1
	jne	.wait
	CHECK_EQ 4, 4, "lines.sent"
	DONE

many:
	call	tsc_khz
	imul	r12, rax, WAIT_SECONDS * 1000
	call	now
	add	r12, rax
.late:	call	now
	cmp	rax, r12
	jb	.late
	mov	edi, 8 * MIB
.touch:	mov	[rdi], edi
	add	edi, 2 * MIB
	cmp	edi, 24 * MIB
	jbe	.touch
	mov	ebx, DISK
	xor	eax, eax
	call	begin_device
	DESCRIPTOR 0, OTHER_HEADER, 16, F_NEXT, 1
	mov	edi, DESC + 16
	mov	eax, 2
.buffer:
	mov	qword [rdi], 8 * MIB + 1	; not in one chunk
	mov	dword [rdi + 8], 16 * MIB
	mov	word [rdi + 12], F_NEXT | F_WRITE
	mov	[rdi + 14], ax
	add	edi, 16
	inc	eax
	cmp	eax, BUFFERS + 2
	jb	.buffer
	mov	dword [rdi + 8], 1
	mov	word [rdi + 12], F_WRITE
	mov	r12d, UNTOUCHED
.request:
	mov	[rdi], r12
	inc	word [AVAIL + 2]
	mov	ax, [AVAIL + 2]
	mov	dword [rbx + 0x50], 0
.wait:	cmp	[USED + 2], ax
	jne	.wait
	mov	r13b, [r12]
	cmp	r13b, 1			; VIRTIO_BLK_S_IOERR: the disk is smaller
	CHECK_IF e, "many.status"
	add	r12d, 2 * MIB
	cmp	r12d, UNTOUCHED + REQUESTS * 2 * MIB
	jb	.request
	DONE
