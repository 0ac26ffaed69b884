; SPDX-License-Identifier: MIT
; Single steps over instructions that exit: #DB comes right behind them, as on the bare processor.
%include "tiny.inc"
TINY_64
%include "check.inc"
%include "irq.inc"
%include "debug.inc"

DR6_BS		equ 1 << 14

; STEP "name", instruction: TF is set before it, and one #DB behind it
%macro STEP 2+
	mov	qword [db_count], 0
	pushfq
	or	qword [rsp], 0x100
	popfq
	%2
%%behind:
	nop
	mov	r14, [db_rip]
	CHECK_EQ qword [db_count], 1, {%1, " count"}
	CHECK_EQ r14, %%behind, {%1, " rip"}
	mov	r14, [db_dr6]
	and	r14, DR6_BS
	CHECK_EQ r14, DR6_BS, {%1, " dr6"}
%endmacro

main:
	SET_GATE 1, db_handler
	STEP	"step.nop", nop
	xor	eax, eax
	STEP	"step.cpuid", cpuid
	STEP	"step.in", in al, 0x80
	STEP	"step.out", out 0x80, al
	mov	ecx, 0x1b
	STEP	"step.rdmsr", rdmsr
	mov	rbx, NOT_A_DEVICE
	STEP	"step.mmio-read", mov eax, [rbx]
	STEP	"step.mmio-write", mov [rbx], eax
	mov	rbx, cr0
	STEP	"step.mov-cr0", mov cr0, rbx
	xor	ebx, ebx
	STEP	"step.mov-cr8", mov cr8, rbx
	STEP	"step.wbinvd", wbinvd
	call	is_amd
	test	eax, eax
	jnz	.amd
	xor	eax, eax
	STEP	"step.vmcall", vmcall
	jmp	.both
.amd:	xor	eax, eax
	STEP	"step.vmmcall", vmmcall
.both:
	; REP: a trap behind each round, with RIP on the instruction until the last
	mov	rsi, main
	mov	dx, 0x80
	mov	ecx, 3
	mov	qword [db_count], 0
	pushfq
	or	qword [rsp], 0x100
	popfq
.outs:	rep	outsb
	nop
	CHECK_EQ qword [db_count], 1, "step.rep-outsb-count"
	mov	rax, [db_rip]
	CHECK_EQ rax, .outs, "step.rep-outsb-rip"
	; a trap does not push RF
	xor	eax, eax
	STEP	"step.rf", cpuid
	mov	rax, [db_flags]
	bt	rax, 16
	CHECK_IF nc, "step.no-rf"
	; an instruction that raises an interrupt by itself: the step comes behind it all the same, and first
	call	lapic_on
	COUNT_GATE 0x40
	mov	ebx, LAPIC
	mov	dword [rbx + LAPIC_ICR_HIGH], 0
	sti
	STEP	"step.with-interrupt", mov dword [rbx + LAPIC_ICR], 0x40040
	cli
	CHECK_COUNT 0x40, 1, "step.with-interrupt irq"
	STEP	"step.hlt", hlt		; a debug exception ends it: SDM vol. 2, HLT
	; a fault is no step: #GP comes with TF in its frame, and no #DB before it
	mov	ecx, 0x1234
	mov	qword [db_count], 0
	pushfq
	or	qword [rsp], 0x100
	mov	qword [expected_vector], 13
	mov	qword [expected_rip], .refused
	mov	qword [resume_rip], .resumed
	popfq
.refused: rdmsr
.resumed:
	nop				; the handler's IRET goes on stepping: one trap here
	nop
	CHECK_EQ qword [db_count], 1, "step.fault-then-trap"
	mov	qword [expected_vector], -1
	DONE
