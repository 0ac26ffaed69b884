; SPDX-License-Identifier: MIT
; Instructions that this machine does not have, and exceptions that reach the guest with what belongs to them.
%include "tiny.inc"
TINY_64
%include "check.inc"

SCRATCH		equ 0x200000

main:
	call	undefined
	call	refused
	call	harmless
	call	faults
	DONE

undefined:
	mov	rbx, SCRATCH
	EXPECT_FAULT 6, "exc.vmxon", {db 0xf3, 0x0f, 0xc7, 0x33}
	EXPECT_FAULT 6, "exc.vmxoff", {db 0x0f, 0x01, 0xc4}
	EXPECT_FAULT 6, "exc.vmlaunch", {db 0x0f, 0x01, 0xc2}
	EXPECT_FAULT 6, "exc.vmresume", {db 0x0f, 0x01, 0xc3}
	EXPECT_FAULT 6, "exc.vmptrld", {db 0x0f, 0xc7, 0x33}
	EXPECT_FAULT 6, "exc.vmptrst", {db 0x0f, 0xc7, 0x3b}
	EXPECT_FAULT 6, "exc.vmclear", {db 0x66, 0x0f, 0xc7, 0x33}
	EXPECT_FAULT 6, "exc.vmread", {db 0x0f, 0x78, 0xc3}
	EXPECT_FAULT 6, "exc.vmwrite", {db 0x0f, 0x79, 0xc3}
	EXPECT_FAULT 6, "exc.invept", {db 0x66, 0x0f, 0x38, 0x80, 0x03}
	EXPECT_FAULT 6, "exc.invvpid", {db 0x66, 0x0f, 0x38, 0x81, 0x03}
	EXPECT_FAULT 6, "exc.vmfunc", {db 0x0f, 0x01, 0xd4}
	mov	eax, SCRATCH
	EXPECT_FAULT 6, "exc.vmrun", {db 0x0f, 0x01, 0xd8}
	EXPECT_FAULT 6, "exc.vmload", {db 0x0f, 0x01, 0xda}
	EXPECT_FAULT 6, "exc.vmsave", {db 0x0f, 0x01, 0xdb}
	EXPECT_FAULT 6, "exc.stgi", {db 0x0f, 0x01, 0xdc}
	EXPECT_FAULT 6, "exc.clgi", {db 0x0f, 0x01, 0xdd}
	EXPECT_FAULT 6, "exc.skinit", {db 0x0f, 0x01, 0xde}
	EXPECT_FAULT 6, "exc.invlpga", {db 0x0f, 0x01, 0xdf}
	EXPECT_FAULT 6, "exc.getsec", {db 0x0f, 0x37}
	xor	ecx, ecx
	xor	edx, edx
	EXPECT_FAULT 6, "exc.monitor", {db 0x0f, 0x01, 0xc8}
	xor	eax, eax
	EXPECT_FAULT 6, "exc.mwait", {db 0x0f, 0x01, 0xc9}
	EXPECT_FAULT 6, "exc.ud2", ud2
	ret

refused:
	mov	ecx, 4			; AMD's four counters are there; guest/tiny/msr.asm asks them
	EXPECT_FAULT 13, "exc.rdpmc", rdpmc
	CHECK_EQ qword [fault_error], 0, "exc.rdpmc-code"
	; a fault pushes RF set; the fault's own instruction may go on after it
	mov	rax, [fault_flags]
	bt	rax, 16
	CHECK_IF c, "exc.rdpmc-rf"
	xor	ecx, ecx		; MONITOR knows no extensions: anything else in ECX would be #GP
	EXPECT_FAULT 6, "exc.monitor-again", {db 0x0f, 0x01, 0xc8}
	mov	rax, [fault_flags]
	bt	rax, 16
	CHECK_IF c, "exc.monitor-rf"
	mov	ecx, 0x40000000
	EXPECT_FAULT 13, "exc.rdpmc-fixed", rdpmc
	ret

harmless:
	mov	rbx, SCRATCH
	mov	dword [rbx], 0x12345678
	invd
	wbinvd
	mov	eax, [rbx]
	CHECK_EQ rax, 0x12345678, "exc.invd-loses-nothing"
	invlpg	[rbx]
	pause
	CHECK_EQ 1, 1, "exc.invlpg-pause"
	ret

faults:
	xor	edx, edx
	mov	eax, 1
	xor	ecx, ecx
	EXPECT_FAULT 0, "exc.de", {div ecx}
	mov	rax, SMALL_PAGES + 6 * PAGE
	call	unmap_page
	EXPECT_FAULT 14, "exc.pf-read", {mov al, [SMALL_PAGES + 6 * PAGE + 5]}
	CHECK_EQ qword [fault_error], 0, "exc.pf-read-code"
	mov	rax, cr2
	CHECK_EQ rax, SMALL_PAGES + 6 * PAGE + 5, "exc.pf-cr2"
	EXPECT_FAULT 14, "exc.pf-write", {mov [SMALL_PAGES + 6 * PAGE], al}
	CHECK_EQ qword [fault_error], 2, "exc.pf-write-code"
	mov	rbx, 0x0000800000000000
	EXPECT_FAULT 13, "exc.gp-non-canonical", {mov al, [rbx]}
	mov	ax, 0x1000
	EXPECT_FAULT 13, "exc.gp-selector", {mov ds, ax}
	CHECK_EQ qword [fault_error], 0x1000, "exc.gp-selector-code"
	; a gate that is not present; and for #NP as well: a double fault
	mov	rdi, IDT64 + 6 * 16
	and	byte [rdi + 5], 0x7f
	EXPECT_FAULT 11, "exc.np-from-gate", ud2
	and	byte [IDT64 + 11 * 16 + 5], 0x7f
	EXPECT_FAULT 8, "exc.double-fault", ud2
	CHECK_EQ qword [fault_error], 0, "exc.double-fault-code"
	or	byte [IDT64 + 11 * 16 + 5], 0x80
	mov	rbx, [rdi]
	mov	qword [rdi], 0		; no gate at all
	EXPECT_FAULT 13, "exc.gp-from-gate", ud2
	mov	[rdi], rbx
	or	byte [rdi + 5], 0x80
	ret
