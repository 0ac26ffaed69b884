; SPDX-License-Identifier: MIT
;
; How many requests a disk serves: scripts/bench runs two VMs, each with a disk, and reads their lines
;
;	BENCH alone requests ticks
;	BENCH together requests ticks
;
; in hexadecimal: so many requests, each with its notification and its completion, in so many ticks. The VM whose command line is
; `first` has the machine for itself at first. When both work each measures only while the other one works for certain.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "bench.inc"
%include "bench_wake.inc"
%include "bench_blk.inc"

STEP_MS		equ 250			; VMs start at about the same time, but for much less than this

main:
	call	x2apic_on
	call	deadline_on
	call	blk_find
	jc	.none
	call	blk_negotiate
	jc	.none
	call	blk_queue
	REG	0x070, 15		; DRIVER_OK
	call	tsc_khz
	imul	r13, rax, STEP_MS
	mov	eax, [boot_info]
	mov	edx, [rax + 16]		; command line
	cmp	byte [rdx], 'f'
	je	.first
	lea	eax, [r13 + r13 * 2]
	call	arm
	call	wait_halted
	jmp	.both
.first:	call	serve
	call	serve
	mov	rsi, .alone
	call	report
	call	serve			; meanwhile the other one begins
.both:	call	serve
	call	serve
	mov	rsi, .together
	call	report
	call	serve
	DONE
.none:	SAY	"FAIL blk: there is no disk, or it refuses"
	DONE
.alone:		db "BENCH alone ", 0
.together:	db "BENCH together ", 0

serve:					; for r13 ticks: r8 requests in r9 ticks
	xor	r8d, r8d
	mov	edi, 1
	call	now
	mov	r10, rax
.next:	call	blk_round
	inc	r8
	call	now
	sub	rax, r10
	cmp	rax, r13
	jb	.next
	mov	r9, rax
	ret

report:					; rsi: what
	call	put_text
	mov	rax, r8
	call	put_number
	mov	rax, r9
	call	put_number
	mov	al, 10
	jmp	put_char
