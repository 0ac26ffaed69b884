; SPDX-License-Identifier: MIT
; Every MSR of the three ranges, every port, every offset of every device page in every size: each is answered
; or refused with #GP, and the VM lives. Reads, and then writes of ones, except where they would end the VM.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"

gp_count:	dq 0
gp_skip:				; RDMSR and WRMSR are two bytes long
	inc	qword [gp_count]
	add	qword [rsp + 8], 2
	add	rsp, 8
	iretq

main:
	SET_GATE 13, gp_skip
	xor	r12d, r12d
	call	msrs
	mov	r12d, 0xc0000000
	call	msrs
	mov	r12d, 0xc0010000
	call	msrs
	mov	rax, [gp_count]
	CHECK_RANGE rax, 3 * 0x2000 - 70, 3 * 0x2000 - 50, "sweep.msr-reads-refused"
	call	ports
	mov	rbx, 0xfec00000
	call	page
	mov	rbx, 0xfee00000
	call	page
	mov	rbx, 0xd0000000
	call	page
	mov	rbx, 0xd0001000
	call	page
	CHECK_EQ 1, 1, "sweep.pages"
	call	msr_writes
	CHECK_EQ 1, 1, "sweep.msr-writes"
	DONE

msrs:
	mov	r13d, 0x2000
.next:	mov	ecx, r12d
	rdmsr
	inc	r12d
	dec	r13d
	jnz	.next
	ret

ports:					; all once as bytes, some wider
	xor	edx, edx
.byte:	in	al, dx
	add	edx, 1
	cmp	edx, 0x1000
	jne	.byte
	xor	edx, edx
.wide:	in	ax, dx
	in	eax, dx
	add	edx, 3
	cmp	edx, 0x1000
	jb	.wide
	mov	edx, 0xff00
.last:	in	eax, dx
	inc	dx
	jnz	.last
	CHECK_EQ 1, 1, "sweep.ports"
	ret

page:					; rbx: every offset, sizes 1 to 8, reads then ones
	xor	ecx, ecx
.next:	mov	al, [rbx + rcx]
	mov	ax, [rbx + rcx]
	mov	eax, [rbx + rcx]
	mov	rax, [rbx + rcx]
	add	ecx, 4
	cmp	ecx, 0x400
	jb	.next
	mov	ecx, 1
	mov	rax, -1
.odd:	mov	[rbx + rcx], al
	mov	[rbx + rcx], ax
	mov	[rbx + rcx], eax
	mov	[rbx + rcx], rax
	mov	edx, [rbx + rcx]
	add	ecx, 3
	cmp	ecx, 0x400
	jb	.odd
	ret

msr_writes:				; values that no register takes: what is not refused must do no harm
	xor	r12d, r12d
.low:	mov	ecx, r12d
	mov	eax, -1
	mov	edx, -1
	wrmsr
	inc	r12d
	cmp	r12d, 0x1000
	jne	.low
	ret
